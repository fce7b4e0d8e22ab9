-- What the handlers of the tests do: one row per time they took effect.
CREATE TABLE effect (
    n    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text   NOT NULL
);

CREATE FUNCTION test_conflict() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = 'a conflict on purpose';
END $$;

-- The first transaction that writes here sleeps in its COMMIT.
CREATE VIEW slow_effect AS SELECT text FROM effect;
CREATE SEQUENCE commits;
CREATE TABLE slow_commit (n bigint);

CREATE FUNCTION slow_effect_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO effect (text) VALUES (NEW.text);
    INSERT INTO slow_commit VALUES (1);
    RETURN NEW;
END $$;
CREATE TRIGGER slow_effect_insert INSTEAD OF INSERT ON slow_effect FOR EACH ROW EXECUTE FUNCTION slow_effect_insert();

CREATE FUNCTION sleep_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('commits') = 1 THEN PERFORM pg_sleep(30); END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON slow_commit
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sleep_once();
