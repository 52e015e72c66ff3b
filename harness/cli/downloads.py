"""Fetching what a run needs from the hub, which happens on request only."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.config.run import RunConfig


def download(config: "RunConfig") -> None:
    """The data files, the model and the encoders of a run that are not on this machine. Raises UserError."""
    from harness.tasks.loading import data_files, data_sets, registry

    if config.data and config.data.startswith(data_sets.HUB):
        data_sets.fetch(config.data)
    task = registry.task(config.task, config.options)
    source = data_files.open_source(config.data)
    for file in task.card.files:
        if file.hub is not None and source.find(file) is None:
            data_files.fetch(file.hub)
    if config.backend.kind == "hf":
        data_files.fetch_model(config.backend.model, config.backend.revision)
    if "rag:" in config.shots:
        from harness.prompts.retrieval import encoder

        if config.retrieval.method != "bm25" and config.retrieval.encoder != encoder.MINI:
            data_files.fetch_model(config.retrieval.encoder, config.retrieval.revision)
        if config.retrieval.rerank:
            data_files.fetch_model(config.retrieval.rerank, None)
