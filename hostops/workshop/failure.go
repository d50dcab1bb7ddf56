package workshop

import (
	"context"
	"errors"
	"fmt"

	"left4me/hostops/ctl"
)

// failure is a sentence for people and one of ctl's errors. Again says that the
// same, a little later, may well succeed; cause is what our own code decides by.
type failure struct {
	sentence string
	kind     error
	again    bool
	cause    error
}

func (f *failure) Error() string   { return f.sentence }
func (f *failure) Unwrap() []error { return []error{f.kind, f.cause} }

// Retry reports whether the same again may succeed.
func (f *failure) Retry() bool { return f.again }

// final is a failure that no second try mends.
func final(format string, args ...any) error {
	return &failure{sentence: fmt.Sprintf(format, args...), kind: ctl.ErrSteam}
}

// passing is one that often goes away by itself.
func passing(format string, args ...any) error {
	return &failure{sentence: fmt.Sprintf(format, args...), kind: ctl.ErrSteamRetry, again: true}
}

func retryable(err error) bool {
	var says interface{ Retry() bool }
	return errors.As(err, &says) && says.Retry()
}

// cancelled says that the operation was ended from outside.
func cancelled(ctx context.Context) error {
	return fmt.Errorf("fetching was cancelled; what was fetched is kept, fetch again to go on: %w: %w", ctl.ErrCancelled, context.Cause(ctx))
}

// resultSentence says what Steam's result codes mean for an item, and where that
// leaves it. Result 1 is success.
func resultSentence(code number) (ctl.ItemState, string) {
	switch code {
	case 9:
		return ctl.ItemGone, "Steam has no such item: it was removed, or its author hides it."
	case 15:
		return ctl.ItemGone, "Steam lets nobody but its author and friends see this item."
	case 17:
		return ctl.ItemGone, "Steam has banned this item."
	case 8:
		return ctl.ItemFailed, "Steam does not accept this number as that of an item: check it."
	case 16:
		return ctl.ItemFailed, "Steam took too long to look this item up: try again."
	case 2:
		return ctl.ItemFailed, "Steam failed to look this item up: try again later."
	case 0:
		return ctl.ItemFailed, "Steam's answer does not mention this item: try again later, and check the number."
	}
	return ctl.ItemFailed, fmt.Sprintf("Steam answered with result %d for this item: try again later.", code)
}

// passes reports whether a result code often is another one a moment later.
func (n number) passes() bool { return n == 2 || n == 16 || n == 0 }
