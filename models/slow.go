package models

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// WithSlowLog returns the database with a hook that logs every statement that takes
// over as long as said, by its shape: values never come into the log, since they
// may be secrets. 0 logs none.
func WithSlowLog(db *bun.DB, log *slog.Logger, over time.Duration) *bun.DB {
	if over <= 0 {
		return db
	}
	return db.WithQueryHook(slowLog{log, over})
}

type slowLog struct {
	log  *slog.Logger
	over time.Duration
}

// BeforeQuery implements bun.QueryHook.
func (slowLog) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

// AfterQuery implements bun.QueryHook.
func (s slowLog) AfterQuery(ctx context.Context, e *bun.QueryEvent) {
	took := time.Since(e.StartTime)
	if took < s.over {
		return
	}
	end := "done"
	if e.Err != nil && !errors.Is(found(e.Err), ErrNotFound) {
		end = "failed" // the error itself may quote values
	}
	s.log.WarnContext(ctx, "a query was slow", "ms", took.Milliseconds(), "end", end, "query", clip(shape(e.Query), 500))
}

// shape is a statement without its values: every string and number in it becomes a
// question mark, and a list of them one.
func shape(query string) string {
	var out strings.Builder
	for i := 0; i < len(query); {
		switch c := query[i]; {
		case c == '\'':
			i = afterString(query, i)
			out.WriteByte('?')
		case c == '"': // a name
			end := strings.IndexByte(query[i+1:], '"')
			if end < 0 {
				end = len(query) - i - 2
			}
			out.WriteString(query[i : i+end+2])
			i += end + 2
		case isDigit(c) && (i == 0 || !isWord(query[i-1])):
			for i < len(query) && (isWord(query[i]) || query[i] == '.') {
				i++
			}
			out.WriteByte('?')
		case c == '\n' || c == '\t' || c == ' ':
			for i < len(query) && (query[i] == ' ' || query[i] == '\n' || query[i] == '\t') {
				i++
			}
			out.WriteByte(' ')
		default:
			out.WriteByte(c)
			i++
		}
	}
	text := out.String()
	for strings.Contains(text, "?, ?") {
		text = strings.ReplaceAll(text, "?, ?", "?")
	}
	return text
}

// afterString is the place behind the SQL string that begins at i, in which two
// quotes are one.
func afterString(query string, i int) int {
	for i++; i < len(query); i++ {
		if query[i] != '\'' {
			continue
		}
		if i+1 < len(query) && query[i+1] == '\'' {
			i++
			continue
		}
		return i + 1
	}
	return len(query)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool {
	return isDigit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80
}
