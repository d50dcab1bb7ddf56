package fetch

import "net/netip"

// notPublic are the blocks that do not lead to a machine of the public internet,
// or lead to another machine than the address says: IANA's special-purpose
// registries, and one metadata service that lies at a public address.
var notPublic = prefixes(
	"0.0.0.0/8",         // this network
	"10.0.0.0/8",        // private
	"100.64.0.0/10",     // carriers' NAT; metadata of one cloud
	"127.0.0.0/8",       // loopback
	"168.63.129.16/32",  // metadata of one cloud
	"169.254.0.0/16",    // link-local; metadata of most clouds
	"172.16.0.0/12",     // private
	"192.0.0.0/24",      // protocol assignments; metadata of one cloud
	"192.0.2.0/24",      // documentation
	"192.88.99.0/24",    // 6to4 relays
	"192.168.0.0/16",    // private
	"198.18.0.0/15",     // benchmarks
	"198.51.100.0/24",   // documentation
	"203.0.113.0/24",    // documentation
	"224.0.0.0/4",       // multicast
	"240.0.0.0/4",       // reserved, and broadcast
	"2001::/23",         // protocol assignments: Teredo, ORCHID, benchmarks
	"2001:db8::/32",     // documentation
	"2002::/16",         // 6to4: an IPv4 address within
	"2620:4f:8000::/48", // AS112, answered by whoever is near
	"3fff::/20",         // documentation
)

// globalUnicast is all of IPv6 that is given out for machines. NAT64, mapped and
// compatible IPv4, unique-local, link-local and multicast addresses are outside.
var globalUnicast = netip.MustParsePrefix("2000::/3")

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Public reports whether addr belongs to a machine of the public internet. An
// IPv4 address in its mapped IPv6 form is judged as the IPv4 address that the
// kernel would connect to; one with a zone is never public.
func Public(addr netip.Addr) bool {
	if !addr.IsValid() || addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap()
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}
