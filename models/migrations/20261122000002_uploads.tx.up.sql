-- What becomes of an upload when its last byte has arrived: the change that its
-- overlay's draft gets then.
ALTER TABLE uploads ADD COLUMN op TEXT NOT NULL DEFAULT 'put';
--bun:split
ALTER TABLE uploads ADD COLUMN path TEXT NOT NULL DEFAULT '';
--bun:split
CREATE INDEX uploads_user ON uploads (user_id);
