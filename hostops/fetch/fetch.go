// Package fetch reaches other machines on behalf of somebody who may be hostile:
// a workshop item names a URL, a script names a host, and neither may make this
// machine talk to itself, to its neighbours or to a cloud's metadata.
//
// Dialer connects to public addresses only, and to exactly the address that it
// looked at. Client is HTTP over it, with a list of hosts that is checked again
// at every redirect. The package knows nothing of Steam, files or scripts. What
// an operator has named, as HOST:PORT, is trusted: no other way leads inside.
package fetch

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// Errors that callers ask for with errors.Is.
var (
	// ErrRefused is of every *Refusal.
	ErrRefused = errors.New("the target was refused")
	// ErrStalled means that a body stopped, or came drop by drop.
	ErrStalled = errors.New("the transfer stopped")
	// ErrTooLong means that a body is longer than was asked for.
	ErrTooLong = errors.New("the answer is longer than it may be")
	// ErrTruncated means that a body ended before it should.
	ErrTruncated = errors.New("the answer ended too early")
)

// Refusal is a target that was not connected to.
type Refusal struct {
	Target string // as it was asked for, such as HOST:PORT or a URL without its query
	Why    string // a clause for people: "10.0.0.1 is not a public address"
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s was refused: %s", r.Target, r.Why) }

// Unwrap makes every refusal ErrRefused.
func (r *Refusal) Unwrap() error { return ErrRefused }

func refuse(target, format string, args ...any) error {
	return &Refusal{Target: target, Why: fmt.Sprintf(format, args...)}
}

// canonical is HOST:PORT as it is compared: in lower case, without a final dot.
func canonical(host, port string) string {
	return net.JoinHostPort(strings.TrimSuffix(strings.ToLower(host), "."), port)
}
