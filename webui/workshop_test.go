package webui

import (
	"testing"

	"left4me/hostops/ctl"
)

// While Steam was away, items that lie in the store and go on being served were
// "Not fetched".
func TestItemThatIsKeptIsNotSaidToBeMissing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		item ctl.Item
		want string
	}{
		"never came":            {ctl.Item{State: ctl.ItemFailed}, "Not fetched"},
		"stored, Steam is away": {ctl.Item{State: ctl.ItemFailed, Stamp: "1700000000"}, "Not looked at, kept here"},
		"gone":                  {ctl.Item{State: ctl.ItemGone}, "Gone from Steam"},
		"stored, gone":          {ctl.Item{State: ctl.ItemGone, Stamp: "1700000000"}, "Gone from Steam, kept here"},
		"stored":                {ctl.Item{State: ctl.ItemStored, Stamp: "1700000000"}, "Ready"},
		"refused": {ctl.Item{State: ctl.ItemStored, Stamp: "1700000000", Findings: []ctl.Finding{
			{Verdict: ctl.VerdictRefused, Code: "vpk.disguised"},
		}}, "Refused"},
	}
	for name, tt := range tests {
		if got := (itemView{Item: tt.item}).State().Word; got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
