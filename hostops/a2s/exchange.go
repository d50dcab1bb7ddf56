package a2s

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"time"
)

// A datagram begins with FF FF FF FF and a byte that says what it is; or it is a part (see split.go).
const (
	single         = "\xff\xff\xff\xff"
	replyChallenge = 'A'
)

// maxRounds is how many challenges one query answers. Two in a row are normal; the bound keeps a hostile server, or
// somebody who forges its address, from having us send without end.
const maxRounds = 6

type query struct {
	name      string
	request   string
	challenge string // sent before the server has given us one
	reply     byte
}

var (
	queryInfo    = query{"info", single + "TSource Engine Query\x00", "", 'I'}
	queryPlayers = query{"players", single + "U", single, 'D'}
	queryRules   = query{"rules", single + "V", single, 'E'}
)

// exchange is one query of one server. A repetition goes on with the challenge that is known already.
type exchange struct {
	conn       *net.UDPConn
	server     netip.AddrPort
	query      query
	challenge  string
	challenger netip.AddrPort // who gave us challenge
	rounds     int
	parts      assembler
}

// try sends the request and reads until an answer is there. It returns the answer behind its type byte, or a timeout
// if there is none.
func (e *exchange) try(ctx context.Context, until time.Time) ([]byte, error) {
	if err := e.conn.SetReadDeadline(until); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // the line above may have undone the interruption
	}
	if err := e.send(); err != nil {
		return nil, err
	}
	datagram := make([]byte, 1<<16)
	for {
		n, from, err := e.conn.ReadFromUDPAddrPort(datagram)
		if err != nil {
			return nil, err
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		body, challenge := e.receive(from, datagram[:n])
		if body != nil {
			return body, nil
		}
		if challenge {
			if err := e.send(); err != nil {
				return nil, err
			}
		}
	}
}

func (e *exchange) send() error {
	_, err := e.conn.WriteToUDPAddrPort([]byte(e.query.request+e.challenge), e.server)
	return err
}

// receive looks at one datagram. It returns the answer's body, or true if a challenge came and the request must be
// sent again, or neither if the datagram is of no use.
func (e *exchange) receive(from netip.AddrPort, datagram []byte) (body []byte, challenge bool) {
	if !e.plausible(from) {
		return nil, false
	}
	message, ok := bytes.CutPrefix(datagram, []byte(single))
	if !ok {
		if message, ok = e.parts.add(from, datagram); !ok {
			return nil, false
		}
	}
	if len(message) >= 5 && message[0] == replyChallenge {
		if from != e.server && e.challenger == e.server {
			return nil, false // the server speaks for itself
		}
		if e.rounds++; e.rounds > maxRounds {
			return nil, false
		}
		e.challenge, e.challenger = string(message[1:5]), from
		return nil, true
	}
	if len(message) == 0 || message[0] != e.query.reply || from != e.server && from != e.challenger {
		return nil, false
	}
	return message[1:], false
}

// plausible is true for the server itself and for a host that answers from another of its addresses: the port is the
// same then, and its answer counts only if the challenge that we sent back was its own.
func (e *exchange) plausible(from netip.AddrPort) bool { return from.Port() == e.server.Port() }
