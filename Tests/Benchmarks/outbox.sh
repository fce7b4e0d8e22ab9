#!/usr/bin/env bash
# make bench-outbox: starts Postgres and RabbitMQ of its own, then sends a backlog of the outbox to
# a queue. Takes about a minute; Tests/Benchmarks/Outbox/OutboxBench.swift lists the settings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/stack.sh"
bench outbox "postgres rabbitmq"
