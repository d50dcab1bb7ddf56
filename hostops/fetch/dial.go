package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	dialTimeout = 15 * time.Second // for looking a name up and connecting
	dialStagger = 300 * time.Millisecond
	maxAnswers  = 16 // addresses of one name that are looked at
)

// Dialer connects to public addresses. Its zero value is ready for use.
type Dialer struct {
	// Trusted are the HOST:PORT that an operator has named: they may have any
	// address, and nothing else of that host is trusted.
	Trusted []string
	// Own lists this host's addresses, none of which is connected to, be it ever
	// so public; nil asks the system.
	Own func() ([]netip.Addr, error)
	// Resolve looks a name up; nil asks the system.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

// DialContext connects to address, HOST:PORT, over tcp. The name is looked up
// once; when any of its addresses is not public, or is this host's own, it is
// refused with a *Refusal, and the connection is to one of the very addresses
// that were looked at. It takes at most 15 seconds.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, refuse(address, "only TCP is used here, not %s", network)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, refuse(address, "it is not HOST:PORT")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, refuse(address, "%q is not a port", port)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, fmt.Errorf("%s did not answer within %s", address, dialTimeout))
	defer cancel()
	addrs, err := d.lookUp(ctx, host)
	if err != nil {
		return nil, err
	}
	if !d.trusts(host, port) {
		if err := d.checkAll(address, addrs); err != nil {
			return nil, err
		}
	}
	conn, err := race(ctx, network, targets(addrs, port))
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}

// trusts reports whether an operator named exactly this host and port.
func (d *Dialer) trusts(host, port string) bool {
	return slices.ContainsFunc(d.Trusted, func(entry string) bool {
		h, p, err := net.SplitHostPort(entry)
		return err == nil && canonical(h, p) == canonical(host, port)
	})
}

func (d *Dialer) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil // as the kernel connects to it
	}
	if oddNumber(host) {
		return nil, refuse(host, "it is a number and no address")
	}
	resolve := d.Resolve
	if resolve == nil {
		resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	addrs, err := resolve(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", host, err)
	}
	if len(addrs) == 0 || len(addrs) > maxAnswers {
		return nil, refuse(host, "its name has %d addresses", len(addrs))
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}

// oddNumber reports whether the host ends in a number, as 2130706433, 0x7f.1 and
// 0177.0.0.1 do: no name may, but some resolvers read those as addresses.
func oddNumber(host string) bool {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := strings.ToLower(labels[len(labels)-1])
	digits := strings.TrimPrefix(last, "0x")
	if digits != last {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return last == "" || strings.Trim(last, "0123456789") == ""
}

func (d *Dialer) checkAll(address string, addrs []netip.Addr) error {
	own := d.Own
	if own == nil {
		own = ownAddresses
	}
	ours, err := own()
	if err != nil {
		return fmt.Errorf("list this host's addresses: %w", err)
	}
	for _, addr := range addrs {
		if !Public(addr) {
			return refuse(address, "%s is not a public address", addr)
		}
		if slices.ContainsFunc(ours, func(o netip.Addr) bool { return o.Unmap().WithZone("") == addr }) {
			return refuse(address, "%s is an address of this host", addr)
		}
	}
	return nil
}

// ownAddresses are those of every interface.
func ownAddresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, p.Addr())
		}
	}
	return addrs, nil
}

// targets alternates the families, beginning with the one that the system puts
// first, so that one broken family costs one stagger.
func targets(addrs []netip.Addr, port string) []string {
	var first, second, out []string
	for _, a := range addrs {
		target := net.JoinHostPort(a.String(), port)
		if a.Is4() == addrs[0].Is4() {
			first = append(first, target)
		} else {
			second = append(second, target)
		}
	}
	for len(first)+len(second) > 0 {
		if len(first) > 0 {
			out, first = append(out, first[0]), first[1:]
		}
		if len(second) > 0 {
			out, second = append(out, second[0]), second[1:]
		}
	}
	return out
}

// race connects to the targets, each a moment after the one before it or as soon
// as that failed. The first connection wins; the others are closed.
func race(ctx context.Context, network string, targets []string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		conn net.Conn
		err  error
	}
	results := make(chan outcome, len(targets)) // nobody has to wait for us
	started, pending := 0, 0
	next := func() {
		target := targets[started]
		started++
		pending++
		go func() {
			conn, err := new(net.Dialer).DialContext(ctx, network, target)
			results <- outcome{conn, err}
		}()
	}
	next()
	stagger := time.NewTicker(dialStagger)
	defer stagger.Stop()
	var failed []error
	for pending > 0 {
		select {
		case <-stagger.C:
			if started < len(targets) {
				next()
			}
		case r := <-results:
			pending--
			if r.err == nil {
				go func() { // whoever comes second is sent home
					for range pending {
						if late := <-results; late.err == nil {
							_ = late.conn.Close() // nothing was sent
						}
					}
				}()
				return r.conn, nil
			}
			failed = append(failed, r.err)
			if started < len(targets) {
				next()
			}
		}
	}
	return nil, errors.Join(failed...)
}
