"""Style of texts: the classifier that tells it, what it is trained on, and watching it while a model is trained."""
