package steamsim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// faultNames is everything that can be wrong with a workshop item. The order is
// that of the faulty items in the catalogue: append only.
var faultNames = []string{
	// What the Web API says of it.
	"removed",     // result 9: removed, hidden or for friends only
	"failed",      // result 2
	"invalid",     // result 8
	"denied",      // result 15
	"timeout",     // result 16
	"banned",      // result 17
	"no_url",      // an empty file_url: only steamcmd can fetch it
	"preview_url", // file_url is the preview image
	"wrong_app",   // it belongs to another game
	"huge",        // file_size is 900 GB
	"size_wrong",  // file_size is larger than the file

	// What the file host does.
	"rate_limited",           // 429 with Retry-After
	"server_error",           // 503
	"not_found",              // 404
	"html",                   // 200 and a page
	"empty_body",             // 200 and nothing
	"range_416",              // no range is ever right
	"no_range",               // 200 and the whole file, whatever range was asked for
	"no_validators",          // neither ETag nor Last-Modified
	"truncated",              // the connection closes in the middle of each answer
	"slow",                   // 8 KB a second
	"stalled",                // half of each answer, then nothing
	"endless",                // a body without a length and without an end
	"redirect",               // to another address of this host: right, and to be followed
	"redirect_foreign",       // to a host that is nobody's
	"redirect_loopback",      // to 127.0.0.1, port 22
	"redirect_metadata",      // to 169.254.169.254
	"redirect_file",          // to file:///etc/passwd
	"redirect_loop",          // to itself
	"flaky",                  // every third request 503, every fourth cut in the middle
	"changes_while_fetching", // after the second request there is another revision under the same address

	// What is in the file.
	"zip", "rar", "seven_zip", // disguised archives
	"corrupt_tree",   // ends in the middle of an entry
	"not_vpk",        // noise
	"empty_file",     // no bytes
	"missing_parts",  // its maps lie in other files, which do not exist
	"out_of_bounds",  // an entry that points behind the end
	"escaping_names", // ../ and absolute paths
	"many_entries",   // more than the engine mounts

	// What steamcmd says; these items have no file_url, so that it is asked.
	"steamcmd_failure", "steamcmd_timeout", "steamcmd_denied", "steamcmd_not_found", "steamcmd_no_connection", "steamcmd_io",
}

// FaultNames returns the faults that a control file may give an item.
func FaultNames() []string { return slices.Clone(faultNames) }

// resultOf are the faults that are a result code of the Web API.
var resultOf = map[string]int{"removed": 9, "failed": 2, "invalid": 8, "denied": 15, "timeout": 16, "banned": 17}

// steamcmdSays are the words of steamcmd for what goes wrong with an item.
var steamcmdSays = map[string]string{
	"steamcmd_failure": "Failure", "steamcmd_timeout": "Timeout", "steamcmd_denied": "Access Denied", "steamcmd_not_found": "File Not Found",
	"steamcmd_no_connection": "No Connection", "steamcmd_io": "I/O Operation Failed",
	"removed": "File Not Found", "failed": "Failure", "invalid": "Failure", "denied": "Access Denied", "timeout": "Timeout", "banned": "Access Denied", "wrong_app": "Failure",
}

// apiFaults are what can be wrong with the Web API as a whole.
var apiFaults = []string{"", "rate_limited", "server_error", "html", "empty_body", "not_json", "truncated", "bad_request", "slow"}

// WorkshopControl chooses what the workshop does. It is read again for every
// request, so that a test can change it while something runs.
type WorkshopControl struct {
	API APIControl `json:"api,omitzero"`
	// Items changes items, by id. An entry replaces the item's own faults.
	Items map[string]ItemControl `json:"items,omitempty"`
	// Rate is how many bytes a second a connection of the file host carries; 0
	// goes by the speed: 6 MB at demo speed, without a limit at instant.
	Rate int64 `json:"rate,omitempty"`
}

// APIControl is what is wrong with the Web API: rate_limited, server_error, html,
// empty_body, not_json, truncated, bad_request or slow.
type APIControl struct {
	Fault      string `json:"fault,omitempty"`
	Count      int    `json:"count,omitempty"`       // the first Count calls only; 0: every call
	RetryAfter int    `json:"retry_after,omitempty"` // seconds, of rate_limited; 0: 1
}

// ItemControl changes one item.
type ItemControl struct {
	Faults     []string `json:"faults,omitempty"`      // from FaultNames
	Count      int      `json:"count,omitempty"`       // the first Count requests that meet a fault; 0: every one
	RetryAfter int      `json:"retry_after,omitempty"` // seconds, of rate_limited; 0: 1
	Revision   int      `json:"revision,omitempty"`    // 2 is the first update; 0 is 1
	Rate       int64    `json:"rate,omitempty"`        // bytes a second of a connection
}

func (c WorkshopControl) check() error {
	if !slices.Contains(apiFaults, c.API.Fault) {
		return fmt.Errorf("workshop.api.fault: unknown fault %q (known: %s)", c.API.Fault, strings.Join(apiFaults[1:], ", "))
	}
	for id, it := range c.Items {
		if _, err := strconv.ParseUint(id, 10, 64); err != nil {
			return fmt.Errorf("workshop.items: %q is no item id", id)
		}
		for _, f := range it.Faults {
			if !slices.Contains(faultNames, f) {
				return fmt.Errorf("workshop.items.%s: unknown fault %q (known: %s)", id, f, strings.Join(faultNames, ", "))
			}
		}
	}
	return nil
}

// item returns an item as this control file wants it.
func (c WorkshopControl) item(id uint64) (item, ItemControl, bool) {
	change, changed := c.Items[strconv.FormatUint(id, 10)]
	it, ok := findItem(id, change.Revision)
	if changed && change.Faults != nil {
		it.faults = change.Faults
	}
	return it, change, ok
}
