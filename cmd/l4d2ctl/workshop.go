package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

type workshopCmd struct {
	Fetch workshopFetchCmd `cmd:"" help:"Fetch workshop items, and what collections list, into the store."`
	Info  workshopInfoCmd  `cmd:"" help:"Show what workshop items and collections are, and what of them is in the store."`
}

// workshopList is the items that both commands take.
type workshopList struct {
	Items []string `arg:"" optional:"" name:"item" help:"Numbers or addresses of items and collections."`
	File  string   `short:"f" placeholder:"FILE" help:"Read more of them from a file; - is the standard input."`
}

// maxItemText bounds a list of items: 2,000 long addresses.
const maxItemText = 1 << 20

// ids reads the numbers out of everything that was given. One word that is none is
// an error: a typing error must not go unnoticed in a long list.
func (l workshopList) ids(env *environment) ([]string, error) {
	text := strings.Join(l.Items, "\n")
	if l.File != "" {
		more, err := readText(env, l.File, maxItemText)
		if err != nil {
			return nil, err
		}
		text += "\n" + more
	}
	ids, bad := ctl.ParseWorkshopIDs(text)
	switch {
	case len(bad) > 0:
		return nil, sentence{fmt.Sprintf("%q is neither the number nor the address of a workshop item, such as https://steamcommunity.com/sharedfiles/filedetails/?id=121086524", bad[0]), ctl.ErrUsage}
	case len(ids) == 0:
		return nil, sentence{"no workshop item was named: give numbers or addresses, or a file of them with -f", ctl.ErrUsage}
	}
	return ids, nil
}

// readText reads a small file, or the standard input for "-".
func readText(env *environment, name string, limit int64) (string, error) {
	in := env.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", sentence{fmt.Sprintf("the list cannot be read: %v", err), ctl.ErrUsage}
		}
		defer f.Close() // read only; nothing can be lost
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	switch {
	case err != nil:
		return "", sentence{fmt.Sprintf("the list cannot be read: %v", err), ctl.ErrUsage}
	case int64(len(data)) > limit:
		return "", sentence{fmt.Sprintf("the list is larger than %d KiB", limit>>10), ctl.ErrUsage}
	}
	return string(data), nil
}

type workshopFetchCmd struct {
	workshopList `embed:""`
}

// Run fetches the items.
func (c *workshopFetchCmd) Run(env *environment) error {
	ids, err := c.ids(env)
	if err != nil {
		return err
	}
	r, err := env.host.WorkshopFetch(env.ctx, ids, env.stderr)
	env.notices = r.Notices
	if err != nil || env.out.json {
		return err
	}
	for _, n := range r.Notices {
		fmt.Fprintf(env.out.stdout, "Note: %s\n", printable(n))
	}
	items, stored, fetched := 0, 0, 0
	for _, it := range r.Items {
		if it.State != ctl.ItemCollection {
			items++
		}
		if it.Stamp != "" {
			stored++
		}
		if it.Changed {
			fetched++
		}
	}
	_, err = fmt.Fprintf(env.out.stdout, "In the store: %d of %d workshop items, %d of them new.\n", stored, items, fetched)
	return err
}

type workshopInfoCmd struct {
	workshopList `embed:""`
}

// Run prints what Steam says of the items.
func (c *workshopInfoCmd) Run(env *environment) error {
	ids, err := c.ids(env)
	if err != nil {
		return err
	}
	if !env.out.json { // only the outcome may stand there
		env.host.Emit = func(ctl.Event) {}
	}
	r, failed := env.host.WorkshopInfo(env.ctx, ids)
	env.notices = r.Notices
	if !env.out.json {
		err = printItems(env.out.stdout, r.Items)
	}
	if failed != nil {
		return failed
	}
	return err
}

func printItems(out io.Writer, list []ctl.Item) error {
	if len(list) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ITEM\tSTATE\tSIZE\tCHANGED\tTITLE")
	for _, it := range list {
		size, changed := "-", "-"
		if it.Size > 0 {
			size = steam.Bytes(it.Size)
		}
		if it.State == ctl.ItemCollection {
			size = fmt.Sprintf("%d items", len(it.Children))
		}
		if !it.Updated.IsZero() {
			changed = it.Updated.Format("2006-01-02")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", it.ID, it.State, size, changed, printable(it.Title))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, it := range list {
		if it.Message != "" {
			fmt.Fprintf(out, "%s: %s\n", it.ID, printable(it.Message))
		}
		for _, f := range it.Findings {
			if f.Verdict != ctl.VerdictOK {
				fmt.Fprintf(out, "%s: %s: %s\n", it.ID, f.Verdict, printable(f.Sentence))
			}
		}
	}
	return nil
}
