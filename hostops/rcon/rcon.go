// Package rcon talks to the remote console of a Source engine game server over TCP and reads what the command status
// prints.
//
// It refuses to know where passwords come from, which commands are wise and when a server should be up: a server
// answers only after it has executed server.cfg, that is after its first map load. Start at [Dial] and [ParseStatus].
package rcon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

const (
	// MaxCommand is the longest command in bytes that a server's console buffer takes.
	MaxCommand = 510
	// MaxReply is how many bytes of a reply are read before the connection is given up.
	MaxReply = 1 << 20
	// DefaultTimeout limits a call whose context has no deadline. Commands that change the map answer late.
	DefaultTimeout = 10 * time.Second
)

var (
	// ErrAuth says that the server rejected the password. Do not try again with the same one: a server bans the
	// address after a few failures (sv_rcon_minfailures), and the panel would lock itself out.
	ErrAuth = errors.New("the server rejected the RCON password")
	// ErrCommand says that a command was refused before anything was sent.
	ErrCommand = errors.New("not a command that can be sent")
	// ErrReply says that the server sent something that is not RCON, or more than MaxReply.
	ErrReply = errors.New("the server's answer is not usable")
	// ErrClosed says that the connection was ended, by the server or by [Conn.Close]. After quit that is success; while
	// dialling it is what a banned address sees; on an idle connection it is normal, and a new one may be tried once.
	ErrClosed = errors.New("the RCON connection was closed")
)

// Conn is an authenticated connection. It may be shared: commands run one after another.
type Conn struct {
	conn   net.Conn
	turn   chan struct{} // holds one token; a mutex could not be waited for with a context
	lastID int32         // guarded by turn
}

// Dial connects to addr ("host:port") and signs in. The context limits the whole of it.
//
// Errors: [ErrAuth], [ErrClosed], [ErrReply], those of the network, and the context's.
func Dial(ctx context.Context, addr, password string) (*Conn, error) {
	if password == "" || strings.ContainsAny(password, "\x00\r\n") || len(password) > MaxCommand {
		// A server without a password rejects everybody, and would count this as an attempt.
		return nil, fmt.Errorf("rcon %s: the password is empty, too long or has a line break: %w", addr, ErrAuth)
	}
	ctx, cancel := withLimit(ctx)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("rcon: %w", err)
	}
	c := &Conn{conn: conn, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	if err := c.bounded(ctx, func() error { return c.signIn(password) }); err != nil {
		_ = c.Close() // the sign-in failed; how it is torn down adds nothing
		return nil, fmt.Errorf("rcon %s: sign in: %w", addr, err)
	}
	return c, nil
}

// Close ends the connection. A running [Conn.Exec] returns with an error.
func (c *Conn) Close() error { return c.conn.Close() }

// Exec runs one command line and returns what the server printed, as the bytes it sent. Lines of its log may be mixed
// in. A line may hold several commands with semicolons between them; whoever builds one from other people's text
// must mind that.
//
// After any error except [ErrCommand] the connection is of no more use. Next to [ErrClosed] and a context's error
// the text is what came before. Other errors: [ErrReply], [ErrAuth] if the server forgot the sign-in, the network's and the context's.
func (c *Conn) Exec(ctx context.Context, command string) (string, error) {
	if len(command) > MaxCommand {
		return "", fmt.Errorf("rcon: %d bytes, at most %d are allowed: %w", len(command), MaxCommand, ErrCommand)
	}
	if strings.ContainsAny(command, "\x00\r\n") {
		return "", fmt.Errorf("rcon: a line break or NUL is in it: %w", ErrCommand)
	}
	ctx, cancel := withLimit(ctx)
	defer cancel()
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return "", fmt.Errorf("rcon: wait for the command before: %w", context.Cause(ctx))
	}
	var reply string
	err := c.bounded(ctx, func() (err error) {
		reply, err = c.exchange(command)
		return err
	})
	if err != nil {
		_ = c.Close() // a late answer must not be read as the next command's
		return reply, fmt.Errorf("rcon %s: %w", c.conn.RemoteAddr(), err)
	}
	return reply, nil
}

// exchange sends a command and, right behind it, an empty packet of the reply's type under another id. Answers carry
// no end marker, but the server answers in order, so the command's answer is complete when anything comes back under
// the second id. Servers differ there: Source mirrors the empty packet and then sends one with the body 00 01 00 00,
// some send only one of the two, others an error text. What is left of it is skipped by its id next time.
func (c *Conn) exchange(command string) (string, error) {
	id, end := c.newID(), c.newID()
	request := append(encode(packet{id, typeExec, command}), encode(packet{end, typeReply, ""})...)
	if _, err := c.conn.Write(request); err != nil {
		return "", closed(err)
	}
	var reply strings.Builder
	for {
		p, err := readPacket(c.conn)
		switch {
		case err != nil:
			return reply.String(), closed(err)
		case p.kind == typeAuthReply && p.id == rejected:
			return "", ErrAuth
		case p.kind != typeReply:
		case p.id == end:
			return reply.String(), nil
		case p.id == id:
			if reply.Len()+len(p.body) > MaxReply {
				return "", fmt.Errorf("more than %d bytes: %w", MaxReply, ErrReply)
			}
			reply.WriteString(p.body)
		}
	}
}

// signIn skips everything but the verdict: servers send an empty reply first, and log lines may come between.
func (c *Conn) signIn(password string) error {
	id := c.newID()
	if _, err := c.conn.Write(encode(packet{id, typeAuth, password})); err != nil {
		return closed(err)
	}
	for {
		p, err := readPacket(c.conn)
		switch {
		case err != nil:
			return closed(err)
		case p.kind == typeAuthReply && p.id == rejected:
			return ErrAuth
		case p.kind == typeAuthReply && p.id == id:
			return nil
		}
	}
}

// newID never yields the -1 of a rejection, nor an id that an answer still under way could have.
func (c *Conn) newID() int32 {
	c.lastID = c.lastID%0x7ffffffe + 1
	return c.lastID
}

// bounded runs f with the context's deadline on the connection and interrupts it when the context ends.
func (c *Conn) bounded(ctx context.Context, f func() error) error {
	deadline, _ := ctx.Deadline() // withLimit has seen to it that there is one
	if err := c.conn.SetDeadline(deadline); err != nil {
		return closed(err)
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = c.conn.SetDeadline(time.Unix(1, 0)) // fails only if it is closed already
	})
	err := f()
	if !stop() {
		<-interrupted // or it would interrupt the next command instead
	}
	var netErr net.Error
	if !errors.As(err, &netErr) || !netErr.Timeout() {
		return err
	}
	if ctx.Err() == nil {
		return context.DeadlineExceeded // the socket's clock was a moment ahead of the context's
	}
	return context.Cause(ctx)
}

func withLimit(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, DefaultTimeout)
}

// closed makes one error of the ways in which the other side can be gone.
func closed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || isReset(err) {
		return fmt.Errorf("%w (%w)", ErrClosed, err)
	}
	return err
}
