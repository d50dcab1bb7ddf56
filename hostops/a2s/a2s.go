// Package a2s asks a Source engine game server for its public facts over UDP, as the server browser does.
//
// It refuses to know which address to ask: a Left 4 Dead 2 server does not answer on 127.0.0.1 even when it is bound
// to all addresses, so callers ask the one it is bound to. Servers limit how often they answer; a single
// [ErrNoReply] says little about their health. Start at [Info].
package a2s

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// DefaultTimeout limits a query whose context has no deadline.
const DefaultTimeout = 3 * time.Second

var (
	// ErrNoReply says that nothing usable came in time.
	ErrNoReply = errors.New("the server did not answer the query")
	// ErrMalformed says that an answer does not have the documented form.
	ErrMalformed = errors.New("the answer to the query is malformed")
)

// Info asks what the server is and how full it is.
//
// Of the time until the context's deadline the first half is for the first try and the rest for one repetition.
// Errors of all three queries: [ErrNoReply], [ErrMalformed], the network's, and the cause of a cancelled context.
func Info(ctx context.Context, addr string) (ServerInfo, error) {
	return ask(ctx, addr, queryInfo, parseInfo)
}

// Players asks who plays. A server that is short of space may leave out some.
func Players(ctx context.Context, addr string) ([]Player, error) {
	return ask(ctx, addr, queryPlayers, parsePlayers)
}

// Rules asks for the console variables that the server makes public. Servers are known to cut long lists off.
func Rules(ctx context.Context, addr string) (map[string]string, error) {
	return ask(ctx, addr, queryRules, parseRules)
}

func ask[T any](ctx context.Context, addr string, q query, parse func([]byte) (T, error)) (T, error) {
	var none T
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultTimeout)
		defer cancel()
	}
	body, err := roundTrip(ctx, addr, q)
	if err != nil {
		return none, fmt.Errorf("query %s of %s: %w", q.name, addr, err)
	}
	answer, err := parse(body)
	if err != nil {
		return none, fmt.Errorf("query %s of %s: %w", q.name, addr, err)
	}
	return answer, nil
}

func roundTrip(ctx context.Context, addr string, q query) ([]byte, error) {
	server, err := resolve(ctx, addr)
	if err != nil {
		return nil, err
	}
	// Not connected to the server: a host with several addresses may answer from another one.
	network := "udp4"
	if server.Addr().Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }) // fails only once it is closed
	defer stop()

	e := exchange{conn: conn, server: server, query: q, challenge: q.challenge}
	deadline, _ := ctx.Deadline() // ask has seen to it that there is one
	for _, until := range []time.Time{time.Now().Add(time.Until(deadline) / 2), deadline} {
		body, err := e.try(ctx, until)
		switch {
		case err == nil:
			return body, nil
		case errors.Is(ctx.Err(), context.Canceled):
			return nil, context.Cause(ctx)
		case !isTimeout(err):
			return nil, err
		}
	}
	return nil, ErrNoReply
}

// resolve prefers IPv4, which is all that the game speaks.
func resolve(ctx context.Context, addr string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	best := ips[0].Unmap() // a lookup without an error has at least one
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			best = ip
			break
		}
	}
	return netip.AddrPortFrom(best, uint16(port)), nil
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}
