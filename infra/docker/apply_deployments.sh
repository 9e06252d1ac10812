#!/bin/sh
# Makes the work pools that are named, applies prefect.yaml and the automations; run again, it changes what has changed.
set -eu
for pool in "$@"; do
    prefect work-pool inspect "$pool" > /dev/null 2>&1 || prefect work-pool create "$pool" --type process
done
prefect --no-prompt deploy --all
python -m flows.operations.automated
