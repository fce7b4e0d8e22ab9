#!/usr/bin/env bash
# make bench-outbox: Postgres and RabbitMQ of their own, then a backlog of the outbox on its way to a queue. About a minute;
# Tests/Benchmarks/Outbox/OutboxBench.swift lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/stack.sh"
bench outbox "postgres rabbitmq"
