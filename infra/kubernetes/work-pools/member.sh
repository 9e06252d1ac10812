#!/bin/sh
# One machine of a training on several. The first executes the flow run, which Prefect knows; the others run the same
# training by the command line, as docs/training.md has it, and end with it.
set -eu
if [ "$LUCIDFLUX_NODE_RANK" = 0 ]; then
    exec prefect flow-run execute
fi
unset PREFECT__FLOW_RUN_ID
# words are split on purpose: it is a command line
# shellcheck disable=SC2086
exec lucidflux $1
