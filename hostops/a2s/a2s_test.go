package a2s

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const infoRequest = single + "TSource Engine Query\x00"

func TestInfoAnswersChallenges(t *testing.T) {
	tests := map[string][]string{ // the challenges a server asks for, one after another
		"none":       nil,
		"one":        {"\x01\x02\x03\x04"},
		"two rounds": {"\x01\x02\x03\x04", "\x05\x06\x07\x00"},
	}
	for name, challenges := range tests {
		t.Run(name, func(t *testing.T) {
			want := []string{infoRequest}
			for _, c := range challenges {
				want = append(want, infoRequest+c)
			}
			round := 0
			s := serve(t, func(f *fake, from netip.AddrPort, request string) {
				if round >= len(want) || request != want[round] {
					t.Errorf("request number %d is %q, want %q", round+1, request, want)
				}
				if round < len(challenges) {
					f.send(from, single+"A"+challenges[round])
				} else {
					f.send(from, infoReply("Friday"))
				}
				round++
			})
			got, err := Info(within(t, 10*time.Second), s.addr.String())
			if err != nil || got != wantInfo("Friday") {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, wantInfo("Friday"))
			}
		})
	}
}

func TestPlayersAndRulesBeginWithAnEmptyChallenge(t *testing.T) {
	rules, err := testdata.ReadFile("testdata/rules.bz2part")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(f *fake, from netip.AddrPort, request string) {
		switch request {
		case single + "U" + single, single + "V" + single:
			f.send(from, single+"Aabcd")
		case single + "Uabcd":
			f.send(from, playersReply("Ann", "caf\xe9", ""))
		case single + "Vabcd":
			f.send(from, cut(string(rules), splitPacked|7, 100)...)
		default:
			t.Errorf("request %q", request)
		}
	})
	players, err := Players(within(t, 10*time.Second), s.addr.String())
	wantPlayers := []Player{{"Ann", 0, 90500 * time.Millisecond}, {"caf\ufffd", 1, 90500 * time.Millisecond}, {"", 2, 90500 * time.Millisecond}}
	if err != nil || !reflect.DeepEqual(players, wantPlayers) {
		t.Errorf("Players = %+v, %v; want %+v", players, err, wantPlayers)
	}
	got, err := Rules(within(t, 10*time.Second), s.addr.String())
	if err != nil || len(got) != 40 || got["sv_rule_39"] != "value 39" {
		t.Errorf("Rules = %v, %v; want 40 of them", got, err)
	}
}

func TestInfoPassesOverWhatIsNotTheAnswer(t *testing.T) {
	s := listen(t, netip.MustParseAddrPort("127.0.0.1:0"))
	sameHost, stranger := s.second(), listen(t, netip.MustParseAddrPort("127.0.0.1:0"))
	parts, evil := cut(infoReply("Friday"), 7, 40), cut(infoReply("Evil"), 7, 40)
	noise := []struct {
		from *fake
		sent []string
	}{
		{s, []string{"", "x", single, single + "A\x01\x02", splitMark, "\xff\xff\xff\xfeI", playersReply("Ann"), parts[0]}},
		{stranger, []string{infoReply("Evil"), single + "Aevil"}},
		{sameHost, append([]string{infoReply("Evil")}, evil...)},
		{sameHost, evil[1:]},
	}
	s.answer(func(f *fake, from netip.AddrPort, request string) {
		if request != infoRequest {
			t.Errorf("request %q, want only the first one", request)
		}
		for _, n := range noise {
			n.from.send(from, n.sent...)
		}
		f.send(from, infoReply("Friday"))
	})
	got, err := Info(within(t, 10*time.Second), s.addr.String())
	if err != nil || got.Name != "Friday" {
		t.Errorf("Info = %q, %v; want Friday", got.Name, err)
	}
}

func TestInfoAcceptsAnotherAddressOfTheHostThatKnowsTheChallenge(t *testing.T) {
	s := listen(t, netip.MustParseAddrPort("127.0.0.1:0"))
	other := s.second()
	s.answer(func(_ *fake, from netip.AddrPort, request string) {
		if request == infoRequest {
			other.send(from, single+"Aabcd")
		} else {
			other.send(from, cut(infoReply("Friday"), 1, 50)...)
		}
	})
	got, err := Info(within(t, 10*time.Second), s.addr.String())
	if err != nil || got.Name != "Friday" {
		t.Errorf("Info = %q, %v; want Friday", got.Name, err)
	}
}

func TestInfoIgnoresAStrangersChallengeAfterTheServersOwn(t *testing.T) {
	s := listen(t, netip.MustParseAddrPort("127.0.0.1:0"))
	other := s.second()
	s.answer(func(f *fake, from netip.AddrPort, request string) {
		switch request {
		case infoRequest:
			f.send(from, single+"Aabcd")
		case infoRequest + "abcd":
			other.send(from, single+"Aevil", infoReply("Evil"))
			f.send(from, infoReply("Friday"))
		default:
			t.Errorf("request %q", request)
		}
	})
	got, err := Info(within(t, 10*time.Second), s.addr.String())
	if err != nil || got.Name != "Friday" {
		t.Errorf("Info = %q, %v; want Friday", got.Name, err)
	}
}

func TestInfoAsksTwice(t *testing.T) {
	var requests atomic.Int32
	s := serve(t, func(f *fake, from netip.AddrPort, request string) {
		switch requests.Add(1) {
		case 1:
			f.send(from, single+"Aabcd")
		case 2: // lost
		default:
			if request != infoRequest+"abcd" {
				t.Errorf("the repetition is %q, want the known challenge in it", request)
			}
			f.send(from, infoReply("Friday"))
		}
	})
	got, err := Info(within(t, time.Second), s.addr.String())
	if err != nil || got.Name != "Friday" {
		t.Errorf("Info = %q, %v; want Friday", got.Name, err)
	}
}

func TestInfoGivesUp(t *testing.T) {
	var requests atomic.Int32
	silent := serve(t, func(*fake, netip.AddrPort, string) { requests.Add(1) })
	if _, err := Info(within(t, 200*time.Millisecond), silent.addr.String()); !errors.Is(err, ErrNoReply) {
		t.Errorf("silent server: error %v, want ErrNoReply", err)
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("silent server: asked %d times, want 2", n)
	}

	requests.Store(0)
	endless := serve(t, func(f *fake, from netip.AddrPort, _ string) {
		requests.Add(1)
		f.send(from, single+"Aabcd")
	})
	if _, err := Info(within(t, 200*time.Millisecond), endless.addr.String()); !errors.Is(err, ErrNoReply) {
		t.Errorf("endless challenges: error %v, want ErrNoReply", err)
	}
	if n := requests.Load(); n > 2+maxRounds {
		t.Errorf("endless challenges: asked %d times, want at most %d", n, 2+maxRounds)
	}

	broken := serve(t, func(f *fake, from netip.AddrPort, _ string) { f.send(from, single+"I\x11half") })
	if _, err := Info(within(t, 10*time.Second), broken.addr.String()); !errors.Is(err, ErrMalformed) {
		t.Errorf("broken answer: error %v, want ErrMalformed", err)
	}
}

func TestInfoEndsWhenItIsCancelled(t *testing.T) {
	left := errors.New("the visitor left")
	ctx, cancel := context.WithCancelCause(context.Background())
	s := serve(t, func(*fake, netip.AddrPort, string) { cancel(left) })
	start := time.Now()
	if _, err := Info(ctx, s.addr.String()); !errors.Is(err, left) {
		t.Errorf("Info: error %v, want the cause of the cancellation", err)
	}
	if took := time.Since(start); took > DefaultTimeout/2 {
		t.Errorf("Info took %v to notice", took)
	}
	if _, err := Info(ctx, s.addr.String()); err == nil {
		t.Error("Info with a cancelled context succeeded")
	}
}

func TestACallWithoutADeadlineGetsOne(t *testing.T) {
	t.Parallel() // takes the whole default
	s := serve(t, func(*fake, netip.AddrPort, string) {})
	if _, err := Info(context.Background(), s.addr.String()); !errors.Is(err, ErrNoReply) {
		t.Errorf("Info: error %v, want ErrNoReply", err)
	}
}

func TestInfoRefusesBadAddresses(t *testing.T) {
	for _, addr := range []string{"", "127.0.0.1", "127.0.0.1:x y", "127.0.0.1:99999", "[::1:5"} {
		if _, err := Info(within(t, 10*time.Second), addr); err == nil || errors.Is(err, ErrNoReply) || !strings.Contains(err.Error(), "query info of") {
			t.Errorf("Info(%q): error %v, want one about the address", addr, err)
		}
	}
}

func TestNamesAndIPv6(t *testing.T) {
	s := serve(t, func(f *fake, from netip.AddrPort, _ string) { f.send(from, infoReply("by name")) })
	got, err := Info(within(t, 10*time.Second), strings.Replace(s.addr.String(), "127.0.0.1", "localhost", 1))
	if err != nil || got.Name != "by name" {
		t.Errorf("localhost: Info = %q, %v", got.Name, err)
	}
	got, err = Info(within(t, 10*time.Second), strings.Replace(s.addr.String(), "127.0.0.1", "[::ffff:127.0.0.1]", 1))
	if err != nil || got.Name != "by name" {
		t.Errorf("mapped address: Info = %q, %v", got.Name, err)
	}
}
