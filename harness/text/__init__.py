"""Functions over text and code as data: extraction, n-grams, syntax trees, SQL. Nothing here runs an answer."""
