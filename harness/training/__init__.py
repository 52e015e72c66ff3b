"""Training: one adapter (or all weights) from a TrainConfig, with the prompts that evaluation asks with.

run.py           one training from beginning to end; start reading there
config.py        what to train, checked before any work; grid.py: a config with a [matrix] -> several
methods.py       the base model, quantised or not, and what of it is trained
data/            rows of files and tasks -> examples -> token rows -> windows and batches; synthetic rows
losses/          what a batch costs, and task weights that follow the validation losses (FAMO, CoBa)
trainer.py       transformers' Trainer around the above; arguments.py: its TrainingArguments
checkpoints.py   which checkpoints are complete; distributed.py: several processes; muon.py: an optimizer
run_record.py    what a training leaves on disk
style_watch.py   the style of a model's texts while it is trained
"""
