"""Data sets: those inside packages, and users' own folders."""

from hwc.models.data.sets import DATASETS, DataError, Dataset, load_data

__all__ = ["DATASETS", "DataError", "Dataset", "load_data"]
