"""Other languages: each compiler and program is a confined step of a worker."""
