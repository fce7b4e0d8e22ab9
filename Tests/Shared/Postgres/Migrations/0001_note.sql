-- A table for the tests of pipelines and transactions.
CREATE TABLE note (
    id   bigint PRIMARY KEY,
    text text   NOT NULL
);
