#!/bin/sh
# Prints an environment file with a new random secret for each name that compose.yaml and Kubernetes ask for.
set -eu
for name in POSTGRES_PASSWORD LUCIDFLUX_DB_PASSWORD PREFECT_DB_PASSWORD MLFLOW_DB_PASSWORD S3_ACCESS_KEY S3_SECRET_KEY \
    MLFLOW_ADMIN_PASSWORD MLFLOW_SECRET_KEY GRAFANA_ADMIN_PASSWORD; do
    echo "$name=$(openssl rand -hex 24)"
done
echo "PREFECT_API_AUTH_STRING=admin:$(openssl rand -hex 24)"
