"""The names of a run folder's files that more than one module reads; imports nothing."""

RECIPE_FILE = "recipe.yaml"
SPLIT_FILE = "split.json"
LOG_FILE = "log.jsonl"
RUN_FILE = "run.json"
BEST = "best.safetensors"
# The recipe that `featherseg train auto` chose, with its reasons.
AUTO_FILE = "auto.yaml"
