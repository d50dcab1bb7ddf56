package rcon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestDialAcceptsEverySignIn(t *testing.T) {
	tests := map[string]func(id int32) []packet{
		"empty packet first": func(id int32) []packet { return []packet{{id, typeReply, ""}, {id, typeAuthReply, ""}} },
		"verdict only":       func(id int32) []packet { return []packet{{id, typeAuthReply, ""}} },
		"log line in between": func(id int32) []packet {
			return []packet{{id, typeReply, ""}, {0, typeReply, "L 08/24/2016"}, {id, typeAuthReply, ""}}
		},
		"someone else's first": func(id int32) []packet { return []packet{{id + 7, typeAuthReply, ""}, {id, typeAuthReply, ""}} },
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			dial(t, serve(t, func(s session) {
				if p, ok := s.read(); ok {
					s.send(answer(p.id)...)
					s.read()
				}
			}))
		})
	}
}

func TestDialReportsARejectedPasswordOnce(t *testing.T) {
	var attempts atomic.Int32
	addr := serve(t, func(s session) {
		for {
			p, ok := s.read()
			if !ok {
				return
			}
			attempts.Add(1)
			s.send(packet{p.id, typeReply, ""}, packet{rejected, typeAuthReply, ""})
		}
	})
	_, err := Dial(within(t, 10*time.Second), addr, "wr0ng")
	if !errors.Is(err, ErrAuth) {
		t.Fatalf("Dial: error %v, want ErrAuth", err)
	}
	if strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("the error shows the password: %v", err)
	}
	if n := attempts.Load(); n != 1 {
		t.Errorf("the password was sent %d times, want once", n)
	}
}

func TestDialSendsNoPasswordThatCannotBeRight(t *testing.T) {
	addr := serve(t, func(s session) { s.t.Error("the server was contacted") })
	for _, password := range []string{"", "a\nb", "a\x00", strings.Repeat("x", MaxCommand+1)} {
		if _, err := Dial(within(t, 10*time.Second), addr, password); !errors.Is(err, ErrAuth) {
			t.Errorf("Dial with %.10q: error %v, want ErrAuth", password, err)
		}
	}
}

func TestDialSeesABanAsClosed(t *testing.T) {
	_, err := Dial(within(t, 10*time.Second), serve(t, func(session) {}), "secret")
	if !errors.Is(err, ErrClosed) || errors.Is(err, ErrAuth) {
		t.Errorf("Dial: error %v, want ErrClosed", err)
	}
}

func TestExecFindsTheEndOfTheReply(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 256) // 4096, the most that one packet holds
	tests := map[string]struct {
		answer func(s session, cmd, end packet)
		want   string
	}{
		"short":       {func(s session, cmd, end packet) { s.send(packet{cmd.id, typeReply, "ok\n"}); s.finish(end) }, "ok\n"},
		"nothing":     {func(s session, cmd, end packet) { s.finish(end) }, ""},
		"mirror only": {func(s session, cmd, end packet) { s.send(packet{cmd.id, typeReply, "ok"}, end) }, "ok"},
		"trailer only": {func(s session, cmd, end packet) {
			s.send(packet{cmd.id, typeReply, "ok"}, packet{end.id, typeReply, "\x00\x01\x00\x00"})
		}, "ok"},
		"error text instead of a mirror": {func(s session, cmd, end packet) {
			s.send(packet{cmd.id, typeReply, "ok"}, packet{end.id, typeReply, "Unknown request 0"})
		}, "ok"},
		"several packets": {func(s session, cmd, end packet) {
			s.send(packet{cmd.id, typeReply, long}, packet{cmd.id, typeReply, long}, packet{cmd.id, typeReply, "end"})
			s.finish(end)
		}, long + long + "end"},
		"strangers in between": {func(s session, cmd, end packet) {
			s.send(packet{0, typeReply, "L 08/24/2016 - 16:13:57: x"}, packet{cmd.id, typeReply, "a"},
				packet{99999, typeReply, "b"}, packet{cmd.id, typeAuthReply, "c"}, packet{cmd.id, typeReply, "d"})
			s.finish(end)
		}, "ad"},
		"byte by byte": {func(s session, cmd, end packet) {
			for _, b := range append(encode(packet{cmd.id, typeReply, "slow"}), encode(end)...) {
				s.raw(b)
			}
		}, "slow"},
		"not UTF-8": {func(s session, cmd, end packet) { s.send(packet{cmd.id, typeReply, "caf\xe9"}); s.finish(end) }, "caf\xe9"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := dial(t, serve(t, func(s session) {
				if !s.signIn("secret") {
					return
				}
				for {
					cmd, end, ok := s.command()
					if !ok {
						return
					}
					tt.answer(s, cmd, end)
				}
			}))
			for i := range 3 { // what is left of one answer must not reach the next
				got, err := c.Exec(within(t, 10*time.Second), "status")
				if err != nil || got != tt.want {
					t.Fatalf("Exec number %d = %.40q (%d bytes), %v; want %.40q (%d bytes)", i+1, got, len(got), err, tt.want, len(tt.want))
				}
			}
		})
	}
}

// echo answers every command with its own text.
func echo(s session) {
	if !s.signIn("secret") {
		return
	}
	for {
		cmd, end, ok := s.command()
		if !ok {
			return
		}
		s.send(packet{cmd.id, typeReply, cmd.body})
		s.finish(end)
	}
}

func TestExecRefusesCommandsThatCannotBeSent(t *testing.T) {
	c := dial(t, serve(t, echo))
	for _, command := range []string{"say a\nquit", "a\rb", "a\x00", strings.Repeat("x", MaxCommand+1)} {
		if _, err := c.Exec(within(t, 10*time.Second), command); !errors.Is(err, ErrCommand) {
			t.Errorf("Exec(%.20q): error %v, want ErrCommand", command, err)
		}
	}
	longest := strings.Repeat("x", MaxCommand)
	if got, err := c.Exec(within(t, 10*time.Second), longest); err != nil || got != longest {
		t.Errorf("after refusals Exec of %d bytes = %d bytes, %v", len(longest), len(got), err)
	}
}

func TestExecMayBeShared(t *testing.T) {
	c := dial(t, serve(t, echo))
	ctx := within(t, 10*time.Second)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				command := fmt.Sprintf("say %d %d", i, j)
				if got, err := c.Exec(ctx, command); err != nil || got != command {
					t.Errorf("Exec(%q) = %q, %v", command, got, err)
				}
			}
		})
	}
	all.Wait()
}

func TestExecGivesUpOnUnusableAnswers(t *testing.T) {
	header := func(size int32) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(size)) }
	tests := map[string]struct {
		answer func(s session, cmd packet)
		want   error
	}{
		"size below the least": {func(s session, _ packet) { s.raw(header(9)...) }, ErrReply},
		"negative size":        {func(s session, _ packet) { s.raw(header(-1)...) }, ErrReply},
		"huge size":            {func(s session, _ packet) { s.raw(header(0x7fffffff)...) }, ErrReply},
		"endless reply": {func(s session, cmd packet) {
			for range MaxReply/4096 + 1 {
				s.send(packet{cmd.id, typeReply, strings.Repeat("x", 4096)})
			}
		}, ErrReply},
		"end inside a packet": {func(s session, _ packet) { s.raw(append(header(20), 1, 2)...) }, ErrClosed},
		"end instead":         {func(session, packet) {}, ErrClosed},
		"signed out":          {func(s session, _ packet) { s.send(packet{rejected, typeAuthReply, ""}) }, ErrAuth},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := dial(t, serve(t, func(s session) {
				if !s.signIn("secret") {
					return
				}
				if cmd, _, ok := s.command(); ok {
					tt.answer(s, cmd)
				}
			}))
			if _, err := c.Exec(within(t, 10*time.Second), "status"); !errors.Is(err, tt.want) {
				t.Errorf("Exec: error %v, want %v", err, tt.want)
			}
			if _, err := c.Exec(within(t, 10*time.Second), "status"); !errors.Is(err, ErrClosed) {
				t.Errorf("Exec afterwards: error %v, want ErrClosed", err)
			}
		})
	}
}

func TestExecReturnsWhatCameBeforeTheEnd(t *testing.T) {
	c := dial(t, serve(t, func(s session) {
		if s.signIn("secret") {
			cmd, _, _ := s.command()
			s.send(packet{cmd.id, typeReply, "bye"})
		}
	}))
	if got, err := c.Exec(within(t, 10*time.Second), "quit"); got != "bye" || !errors.Is(err, ErrClosed) {
		t.Errorf("Exec(quit) = %q, %v; want the text and ErrClosed", got, err)
	}
}

// silent signs in and then never answers; asked gets a token for every command.
func silent(asked chan<- struct{}) func(session) {
	return func(s session) {
		s.signIn("secret")
		for {
			if _, _, ok := s.command(); !ok {
				return
			}
			asked <- struct{}{}
		}
	}
}

func TestExecEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{}, 1)
	addr := serve(t, silent(asked))

	c := dial(t, addr)
	if _, err := c.Exec(within(t, 50*time.Millisecond), "status"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Exec: error %v, want the deadline's", err)
	}
	<-asked

	c = dial(t, addr)
	left := errors.New("the visitor left")
	ctx, cancel := context.WithCancelCause(within(t, 10*time.Second))
	go func() {
		<-asked
		cancel(left)
	}()
	if _, err := c.Exec(ctx, "status"); !errors.Is(err, left) {
		t.Errorf("Exec: error %v, want the cause of the cancellation", err)
	}

	if _, err := Dial(ctx, addr, "secret"); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial: error %v, want context.Canceled", err)
	}
}

func TestExecWaitsForItsTurnWithItsContext(t *testing.T) {
	asked := make(chan struct{}, 1)
	c := dial(t, serve(t, silent(asked)))
	first := make(chan error)
	go func() {
		_, err := c.Exec(within(t, 10*time.Second), "first")
		first <- err
	}()
	<-asked
	if _, err := c.Exec(within(t, 20*time.Millisecond), "second"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second Exec: error %v, want the deadline's", err)
	}
	c.Close()
	if err := <-first; !errors.Is(err, ErrClosed) {
		t.Errorf("Exec of a closed connection: error %v, want ErrClosed", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	addr := serve(t, func(s session) { s.read(); s.read() })
	if _, err := Dial(within(t, 50*time.Millisecond), addr, "secret"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial: error %v, want the deadline's", err)
	}
}

func TestDialReportsNobodyThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	var op *net.OpError
	if _, err := Dial(within(t, 10*time.Second), listener.Addr().String(), "secret"); !errors.As(err, &op) {
		t.Errorf("Dial: error %v, want the network's", err)
	}
}

func TestACallWithoutADeadlineGetsOne(t *testing.T) {
	ctx, cancel := withLimit(context.Background())
	defer cancel()
	if at, ok := ctx.Deadline(); !ok || time.Until(at) > DefaultTimeout {
		t.Errorf("deadline %v, %v; want one within %v", at, ok, DefaultTimeout)
	}
}

func TestIDsStayPositive(t *testing.T) {
	c := &Conn{lastID: 0x7ffffffd}
	for range 4 {
		if id := c.newID(); id < 1 {
			t.Errorf("id %d after the largest one", id)
		}
	}
}

func FuzzReadPacket(f *testing.F) {
	f.Add(encode(packet{1, typeReply, "text"}))
	f.Add(encode(packet{-1, typeAuthReply, ""}))
	f.Add([]byte{0xff, 0xff, 0xff, 0x7f, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := readPacket(strings.NewReader(string(b)))
		if err != nil {
			return
		}
		again, err := readPacket(strings.NewReader(string(encode(p))))
		if err != nil || again != p {
			t.Errorf("%+v does not survive encoding: %+v, %v", p, again, err)
		}
	})
}
