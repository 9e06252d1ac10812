#!/bin/bash
# Runs once, when PostgreSQL's volume is new: a role and a database of its own for each service, named as `lucidflux up` names them.
set -euo pipefail
make() {
    psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres -v role="$1" -v password="$2" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"role" OWNER :"role";
REVOKE CONNECT ON DATABASE :"role" FROM PUBLIC;
SQL
}
make lucidflux "$LUCIDFLUX_DB_PASSWORD"
make lucidflux_prefect "$PREFECT_DB_PASSWORD"
make lucidflux_mlflow "$MLFLOW_DB_PASSWORD"
