-- What the handlers of the tests do: one row per time they took effect.
CREATE TABLE effect (
    n    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text   NOT NULL
);

CREATE FUNCTION test_conflict() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = 'a conflict on purpose';
END $$;
