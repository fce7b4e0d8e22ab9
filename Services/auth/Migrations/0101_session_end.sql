-- Sessions that nobody can use any more are deleted in small steps; this finds them without reading the living ones.

CREATE INDEX session_end ON session (idle_expires_at);
