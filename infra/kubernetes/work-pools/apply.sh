#!/bin/sh
# Makes the Kubernetes work pools, brings their job templates up to date, applies prefect.yaml and the automations.
set -eu
folder=$(dirname "$0")
for pool in cpu gpu multi-node; do
    if prefect work-pool inspect "$pool" > /dev/null 2>&1; then
        prefect work-pool update "$pool" --base-job-template "$folder/$pool.json"
    else
        prefect work-pool create "$pool" --type kubernetes --base-job-template "$folder/$pool.json"
    fi
done
# one training at a time on several machines: they meet under one name
prefect work-pool set-concurrency-limit multi-node 1
prefect --no-prompt deploy --all
python -m flows.operations.automated
