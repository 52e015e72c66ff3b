"""Programs in other languages: a worker runs each compiler and program as a confined step."""
