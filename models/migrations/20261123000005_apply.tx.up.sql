-- The server is started anew, with its blueprint as it is then, as soon as nobody
-- plays on it.
ALTER TABLE servers ADD COLUMN apply_when_empty BOOLEAN NOT NULL DEFAULT FALSE;
--bun:split
CREATE INDEX servers_apply_when_empty ON servers (host) WHERE apply_when_empty;
