package models

import (
	"bytes"

	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
)

// The dialects differ from bun's own in how JSON is written. Names of players,
// titles of workshop items and launch arguments are strangers' texts: a NUL among
// them, which PostgreSQL takes in no JSON, becomes U+FFFD, and the six characters
// \u0000 are written so that bun does not take them for an escaped NUL.

type postgresDialect struct{ *pgdialect.Dialect }

// AppendJSON is what bun asks of a dialect.
func (postgresDialect) AppendJSON(b, text []byte) []byte {
	return schema.BaseDialect{}.AppendJSON(b, storableJSON(text))
}

type sqliteDialect struct{ *sqlitedialect.Dialect }

// AppendJSON is what bun asks of a dialect.
func (sqliteDialect) AppendJSON(b, text []byte) []byte {
	return schema.BaseDialect{}.AppendJSON(b, storableJSON(text))
}

func storableJSON(text []byte) []byte {
	nul := []byte("u0000")
	if !bytes.Contains(text, nul) {
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '\\' || i+1 == len(text):
			out = append(out, text[i])
		case text[i+1] == '\\' && bytes.HasPrefix(text[i+2:], nul):
			out = append(out, `\u005c`...) // a backslash that cannot be mistaken for the beginning of an escape
			i++
		case bytes.HasPrefix(text[i+1:], nul):
			out = append(out, `\ufffd`...)
			i += len(nul)
		default:
			out = append(out, text[i], text[i+1])
			i++
		}
	}
	return out
}
