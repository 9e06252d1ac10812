#!/bin/sh
# Looks every package of a lock up in the advisories of OSV. Ends with 0: none known; 1: some, listed; 2: nothing was audited.
#   infra/audit.sh PIP_AUDIT LOCK [more arguments of pip-audit]
set -eu
program=$1 lock=$2
shift 2
said=$(mktemp)
trap 'rm -f "$said"' EXIT
if "$program" --requirement "$lock" --require-hashes --disable-pip --vulnerability-service osv --progress-spinner off "$@" 2> "$said"; then
    echo "No known vulnerability in $lock."
elif grep -q "Traceback\|ConnectionError\|ServiceError" "$said"; then
    tail -n 1 "$said" >&2
    echo "The advisories could not be read, so NOTHING WAS AUDITED. Run this where the advisory service is reached." >&2
    exit 2
else
    cat "$said" >&2
    exit 1
fi
