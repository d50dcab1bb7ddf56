package models

import "errors"

// InvalidError is input that was refused: which field, and a sentence that says
// what to do. It is meant to be shown beside the field.
type InvalidError struct {
	Field   string
	Message string
}

func (e *InvalidError) Error() string { return e.Message }

// Invalid makes an InvalidError.
func Invalid(field, message string) error { return &InvalidError{Field: field, Message: message} }

// AsInvalid finds the InvalidError in err's chain.
func AsInvalid(err error) (*InvalidError, bool) {
	var e *InvalidError
	ok := errors.As(err, &e)
	return e, ok
}
