package fetch

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestAttack12PublicAddresses(t *testing.T) {
	t.Parallel()
	inside := `
		0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
		168.63.129.16 169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1
		192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.255 224.0.0.1 239.255.255.255
		240.0.0.1 255.255.255.255
		:: ::1 ::10.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:a00:1 64:ff9b::7f00:1 64:ff9b:1::1 100::1
		2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a00:1::1 2620:4f:8000::1
		3fff::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1 fe80::1 fe80::1%lo fec0::1 ff02::1 4000::1`
	for text := range strings.FieldsSeq(inside) {
		if Public(netip.MustParseAddr(text)) {
			t.Errorf("Public(%s) = true, want false", text)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("Public of no address = true")
	}
	outside := `1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 169.253.255.255
		169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.1 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
		::ffff:8.8.8.8 2001:200::1 2003::1 2606:4700:4700::1111 2a00:1450:4001:800::200e`
	for text := range strings.FieldsSeq(outside) {
		if !Public(netip.MustParseAddr(text)) {
			t.Errorf("Public(%s) = false, want true", text)
		}
	}
}

// each form of an address that means this machine or its neighbours
func TestAttack12DialRefusesInside(t *testing.T) {
	t.Parallel()
	names := map[string]string{
		"localhost": "127.0.0.1", "inside.example": "10.1.2.3", "metadata.example": "169.254.169.254",
		"six.example": "::1", "mapped.example": "::ffff:127.0.0.1", "nat64.example": "64:ff9b::7f00:1",
		"mixed.example": "8.8.8.8 192.168.1.1", "own.example": "93.184.216.34", "ownmapped.example": "::ffff:93.184.216.34", "none.example": "",
		"many.example": strings.Repeat("8.8.8.8 ", maxAnswers+1),
	}
	d := &Dialer{
		Own: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil },
		Resolve: func(_ context.Context, host string) (out []netip.Addr, err error) {
			list, known := names[host]
			if !known {
				t.Errorf("%q was looked up: another resolver may read it as an address", host)
			}
			for text := range strings.FieldsSeq(list) {
				out = append(out, netip.MustParseAddr(text))
			}
			return out, nil
		},
		Trusted: []string{"127.0.0.1:9", "localhost:9"},
	}
	targets := []string{
		"127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80", "[fe80::1%25lo]:80", "[fe80::1%lo]:80", "0.0.0.0:80", "[::]:80",
		"10.0.0.1:443", "169.254.169.254:80", "2130706433:80", "0x7f000001:80", "0x7f.1:80", "0177.0.0.1:80", "127.1:80",
		"017700000001:80", "127.0.0.1.:80", "93.184.216.34:443", "[::ffff:93.184.216.34]:443", "[::ffff:5db8:d822]:443", ":80", "8.8.8.8:0", "8.8.8.8:65536", "8.8.8.8:http", "8.8.8.8",
	}
	for name := range names {
		targets = append(targets, name+":80")
	}
	for _, target := range targets {
		conn, err := d.DialContext(t.Context(), "tcp", target)
		if err == nil {
			_ = conn.Close() // it should not be there
		}
		if !errors.Is(err, ErrRefused) {
			t.Errorf("dial %s: %v, want a refusal", target, err)
		}
	}
	if _, err := d.DialContext(t.Context(), "udp", "8.8.8.8:53"); !errors.Is(err, ErrRefused) {
		t.Errorf("dial udp: %v, want a refusal", err)
	}
}

// A name that changes its address between the check and the connection.
func TestAttack12Rebinding(t *testing.T) {
	t.Parallel()
	asked := 0
	d := &Dialer{Resolve: func(context.Context, string) ([]netip.Addr, error) {
		asked++
		if asked == 1 {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}}
	for range 2 { // neither the first answer nor the second leads anywhere
		if _, err := d.DialContext(t.Context(), "tcp", "rebind.example:80"); !errors.Is(err, ErrRefused) {
			t.Errorf("dial: %v, want a refusal", err)
		}
	}
	if asked != 2 {
		t.Errorf("%d look-ups for two connections, want one each", asked)
	}
	// Trusted or not, the connection goes to what was looked at.
	listener := listen(t)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	asked = 1
	d.Trusted = []string{"Rebind.Example.:" + port}
	conn, err := d.DialContext(t.Context(), "tcp", "rebind.example:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if asked != 2 || conn.RemoteAddr().String() != listener.Addr().String() {
		t.Errorf("%d look-ups, connected to %s; want 2 and %s", asked, conn.RemoteAddr(), listener.Addr())
	}
}

func TestOwnAddressesAreKnown(t *testing.T) {
	t.Parallel()
	list, err := ownAddresses()
	if err != nil || len(list) == 0 {
		t.Fatalf("own addresses: %v, %v; want at least one", list, err)
	}
}

// One address that refuses does not keep the next from being tried, and the
// families take turns.
func TestDialTriesEveryAddress(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	d := &Dialer{
		Trusted: []string{"two.example:" + port},
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}, nil
		},
	}
	conn, err := d.DialContext(t.Context(), "tcp", "two.example:"+port)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close() // nothing was sent

	var addrs []netip.Addr
	for text := range strings.FieldsSeq("2a00::1 2a00::2 8.8.8.8 2a00::3") {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	got := strings.Join(targets(addrs, "1"), " ")
	if want := "[2a00::1]:1 8.8.8.8:1 [2a00::2]:1 [2a00::3]:1"; got != want {
		t.Errorf("targets: %s, want %s", got, want)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the test is over
	return l
}
