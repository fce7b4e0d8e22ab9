-- Shows that a service's own migrations follow those of the outbox.
CREATE TABLE probe (id bigint PRIMARY KEY);
