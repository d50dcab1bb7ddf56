// Package workshop brings items of the Steam workshop to this host and keeps them.
//
// It asks Steam's Web API what the given numbers are, follows collections, fetches
// what the store lacks, and has every file looked at before it is stored. One
// item's fault never costs another. It knows nothing of overlays: whoever builds
// one links what the Store has. Everything that comes from outside is taken for
// hostile: sizes, names, addresses and the files themselves. Start at Fetch; the
// store's layout is in store.go, a download's in download.go.
package workshop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/fetch"
	"left4me/hostops/steam"
)

const (
	agent       = "left4me"
	maxItemSize = 16 << 30            // bytes; a VPK can hold no more by far
	keepFree    = 1 << 30             // bytes that stay free on the store's disk
	abandoned   = 30 * 24 * time.Hour // a half download that nobody went on with for so long is removed
)

// steamHosts are where Steam keeps workshop files and their pictures.
var steamHosts = []string{
	"*.steamusercontent.com", "steamusercontent-a.akamaihd.net", "steamuserimages-a.akamaihd.net",
	"*.steamcontent.com", "*.steamstatic.com",
}

// Options is what Fetch and Info need. Emit must not be nil.
type Options struct {
	Store *Store
	API   string   // base URL of the Web API; "" is Steam's
	Hosts []string // HOST:PORT that files may come from beside Steam's, over plain http too
	Emit  func(ctl.Event)
	// Examine looks at a file before it is stored and says what is to say of it. It
	// fails only when it cannot look. Nil finds nothing.
	Examine func(ctx context.Context, name string, file io.ReaderAt, size int64) ([]ctl.Finding, []ctl.Campaign, error)
	// Steam is how steamcmd is run, for items that have no file of their own to
	// fetch; its Steamcmd may be "", and then those fail with a sentence. Dir is
	// set here.
	Steam steam.Options

	pause time.Duration                    // before a second try of anything; 0 is a second
	idle  time.Duration                    // how long a file host may be silent; 0 is 30 seconds
	piece int64                            // bytes a range; 0 is pieceSize
	free  func(path string) (int64, error) // nil is steam.FreeBytes
}

// fetcher is one run.
type fetcher struct {
	Options
	api   *api
	files *fetch.Client
	slots chan struct{}

	emitting sync.Mutex
	progress *progress
}

// Report is what came of a run.
type Report struct {
	Items   []ctl.Item // in the order of the ids, each collection before what it lists
	Notices []string   // what whoever asked should know beside the outcome
}

// Info asks Steam what the ids are, and what collections list. Nothing is fetched
// or written. Every item is emitted. The error says that none could be had.
func Info(ctx context.Context, ids []string, o Options) (Report, error) {
	f, err := newFetcher(o)
	if err != nil {
		return Report{}, err
	}
	defer f.close()
	list, err := f.resolve(ctx, ids)
	if err != nil {
		return Report{}, err
	}
	for _, it := range list {
		f.emitItem(it)
	}
	return outcome(list)
}

// Fetch brings everything the ids are and list into the store. Items are emitted
// once what they are is known and again when their state changes. What is not
// simply stored has its sentence in Message; an item that Steam no longer has
// keeps what the store has of it. Items that cannot be had are no error while most
// can; an error that may go away by itself answers Retry.
func Fetch(ctx context.Context, ids []string, o Options) (Report, error) {
	f, err := newFetcher(o)
	if err != nil {
		return Report{}, err
	}
	defer f.close()
	if err := os.MkdirAll(f.Store.Dir, 0o755); err != nil {
		return Report{}, err
	}
	list, err := f.resolve(ctx, ids)
	if err != nil {
		return Report{}, err
	}
	f.Store.sweepAbandoned(time.Now().Add(-abandoned))
	for _, it := range list {
		if err := f.note(it); err != nil {
			return Report{}, err
		}
		if it.State == ctl.ItemStored {
			f.Store.tidy(it.ID)
		}
		if it.Message != "" {
			f.say("%s: %s", it.name(), it.Message)
		}
		f.emitItem(it)
	}
	f.images(ctx, list)
	if err := f.fetchAll(ctx, list); err != nil {
		return Report{Items: items(list)}, err
	}
	return outcome(list)
}

func newFetcher(o Options) (*fetcher, error) {
	if o.API == "" {
		o.API = DefaultAPI
	}
	if o.pause == 0 {
		o.pause = time.Second
	}
	if o.piece == 0 {
		o.piece = pieceSize
	}
	if o.free == nil {
		o.free = steam.FreeBytes
	}
	if o.Examine == nil {
		o.Examine = func(context.Context, string, io.ReaderAt, int64) ([]ctl.Finding, []ctl.Campaign, error) {
			return nil, nil, nil
		}
	}
	f := &fetcher{Options: o, slots: make(chan struct{}, allConnections)}
	var err error
	if f.api, err = newAPI(o.API, o.pause, f.say); err != nil {
		return nil, err
	}
	f.files = &fetch.Client{Hosts: steamHosts, Dialer: &fetch.Dialer{Trusted: o.Hosts}, Agent: agent, Idle: o.idle}
	return f, nil
}

func (f *fetcher) close() {
	f.api.client.Close()
	f.files.Close()
}

// emit may be called at the same time; whoever listens need not know.
func (f *fetcher) emit(e ctl.Event) {
	f.emitting.Lock()
	defer f.emitting.Unlock()
	e.At = time.Now().UTC()
	f.Emit(e)
}

func (f *fetcher) say(format string, args ...any) {
	f.emit(ctl.Event{Type: ctl.EventLog, Stream: ctl.StreamCtl, Text: fmt.Sprintf(format, args...)})
}

// maxItemEvent bounds the event of an item in bytes: readers have buffers.
const maxItemEvent = 200 << 10

// emitItem tells of an item. One that says too much of itself keeps its first, and
// so its worst, findings and campaigns; everything is in the store.
func (f *fetcher) emitItem(it *item) {
	shown := it.Item
	for len(shown.Findings)+len(shown.Campaigns) > 0 {
		if data, err := json.Marshal(shown); err != nil || len(data) <= maxItemEvent {
			break
		}
		shown.Findings, shown.Campaigns = shown.Findings[:len(shown.Findings)/2], shown.Campaigns[:len(shown.Campaigns)/2]
	}
	f.emit(ctl.Event{Type: ctl.EventItem, Item: &shown})
}

func items(list []*item) []ctl.Item {
	out := make([]ctl.Item, len(list))
	for i, it := range list {
		out[i] = it.Item
	}
	return out
}

// outcome says how it went over all. Items that cannot be had are only noticed as
// long as most can: one file host's bad day must not keep the others from servers.
// When it may be better in a moment, and most is missing, it is a failure to retry.
func outcome(list []*item) (Report, error) {
	r := Report{Items: items(list)}
	var had, missed, lost int
	var first *item // the one to name: rather one that another try may bring
	for _, it := range list {
		switch {
		case it.again:
			missed++
			if first == nil || !first.again {
				first = it
			}
		case it.State == ctl.ItemFailed, it.State == ctl.ItemGone:
			lost++
			if first == nil {
				first = it
			}
		case it.State != ctl.ItemCollection:
			had++
		}
	}
	switch {
	case first == nil:
		return r, nil
	case len(list) == 1:
		return r, &failure{sentence: fmt.Sprintf("Workshop item %s: %s", first.name(), first.Message), kind: kindOf(first.again), again: first.again}
	case missed > had:
		return r, passing("%d of %d workshop items could not be had this time. The first is %s: %s", missed, len(list), first.name(), first.Message)
	case had == 0:
		return r, final("None of the %d workshop items can be had. The first is %s: %s", len(list), first.name(), first.Message)
	}
	if missed > 0 {
		r.Notices = append(r.Notices, fmt.Sprintf("%d of %d workshop items could not be had this time, among them %s: %s", missed, len(list), first.name(), first.Message))
	}
	if lost > 0 {
		r.Notices = append(r.Notices, fmt.Sprintf("%d of %d workshop items cannot be had from Steam; each one's reason stands with it.", lost, len(list)))
	}
	return r, nil
}

func kindOf(again bool) error {
	if again {
		return ctl.ErrSteamRetry
	}
	return ctl.ErrSteam
}

// note keeps what is known of an item for those who build without Steam. What
// Steam does not tell any more stays as it was.
func (f *fetcher) note(it *item) error {
	if it.detail == nil && it.Children == nil {
		if _, err := f.Store.record(it.ID); errors.Is(err, ErrNotStored) {
			return nil // nothing is known, now or then
		}
	}
	return f.Store.changeRecord(it.ID, func(r *record) {
		if it.detail == nil && it.State != ctl.ItemCollection {
			r.State, r.Message = it.State, it.Message
			return
		}
		r.Item, r.Asked = it.Item, time.Now().UTC()
		r.Changed, r.Findings, r.Campaigns = false, nil, nil // those are a version's
	})
}

// fetchAll fetches what is wanted or outdated, several items at once.
func (f *fetcher) fetchAll(ctx context.Context, list []*item) error {
	var direct, detour []*item
	var bytes int64
	for _, it := range list {
		if it.State != ctl.ItemWanted && it.State != ctl.ItemOutdated {
			continue
		}
		bytes += int64(it.detail.Size)
		if it.direct {
			direct = append(direct, it)
		} else {
			detour = append(detour, it)
		}
	}
	if err := f.room(bytes, len(direct)+len(detour)); err != nil {
		return err
	}
	f.progress = newProgress(bytes, f.emit)
	if len(direct)+len(detour) > 0 {
		f.progress.begin(fmt.Sprintf("Fetching %s", count(len(direct)+len(detour), "workshop item")))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	queue := make(chan *item)
	denied := make(chan *item, len(direct))
	for range min(itemsAtOnce, len(direct)) {
		workers.Go(func() {
			for it := range queue {
				switch err := f.fetchItem(ctx, it); {
				case errors.Is(err, errDenied):
					it.denied = err
					denied <- it
				case err != nil:
					f.settleFailure(ctx, it, err, cancel)
				}
			}
		})
	}
	for _, it := range direct {
		if ctx.Err() != nil {
			break
		}
		queue <- it
	}
	close(queue)
	workers.Wait()
	close(denied)
	for it := range denied {
		detour = append(detour, it)
	}
	if ctx.Err() == nil && len(detour) > 0 {
		f.detour(ctx, detour, cancel)
	}
	f.progress.end()
	if ctx.Err() != nil {
		var ended *failure
		if err := context.Cause(ctx); errors.As(err, &ended) || errors.Is(err, errDisk) {
			return err // we ended it ourselves
		}
		return cancelled(ctx)
	}
	return nil
}

// settleFailure puts a failure where it belongs: with its item, or, when no other
// item could fare better, as the end of the run.
func (f *fetcher) settleFailure(ctx context.Context, it *item, err error, end context.CancelCauseFunc) {
	if ctx.Err() != nil {
		return
	}
	if errors.Is(err, errDisk) || errors.Is(err, unix.ENOSPC) || errors.Is(err, ctl.ErrDiskFull) {
		end(err)
		return
	}
	it.fail(err)
	f.say("%s: %s", it.name(), it.Message)
	if err := f.note(it); err != nil {
		end(diskFailure(err))
		return
	}
	f.emitItem(it)
}

// room refuses what the disk would not hold: a tenth more than the files have, and
// some that stays free for everything else on it.
func (f *fetcher) room(bytes int64, n int) error {
	if bytes == 0 {
		return nil
	}
	need := bytes + bytes/10 + keepFree
	free, err := f.free(f.Store.Dir)
	if err != nil {
		return err
	}
	if free >= need {
		return nil
	}
	return &failure{
		sentence: fmt.Sprintf("The disk that holds %s is too small: %s of %s are to come, which takes %s with what has to stay free, and %s are free. Make room, or choose fewer.",
			f.Store.Dir, steam.Bytes(bytes), count(n, "workshop item"), steam.Bytes(need), steam.Bytes(free)),
		kind: ctl.ErrDiskFull,
	}
}

// fetchItem fetches one item from its URL, unless another process has done so by
// the time that the item is ours.
func (f *fetcher) fetchItem(ctx context.Context, it *item) error {
	release, err := f.Store.lock(ctx, it.ID, func() { f.say("%s: another l4d2ctl fetches it; waiting for that.", it.name()) })
	if err != nil {
		return err
	}
	defer release()
	err = f.fetchLocked(ctx, it)
	if errors.Is(err, errSize) || errors.Is(err, errChanged) { // perhaps its author is at it right now
		if fresh := f.askAgain(ctx, it.ID); fresh != nil && stampOf(*fresh) != it.stamp() {
			f.progress.add(0, int64(fresh.Size-it.detail.Size))
			it.take(*fresh, steamHosts, f.Hosts)
			err = f.fetchLocked(ctx, it)
		}
	}
	return err
}

// askAgain asks for one item; nil when there is no good answer.
func (f *fetcher) askAgain(ctx context.Context, id string) *detail {
	found, _ := f.api.details(ctx, []string{id}) // no answer leaves things as they are
	d, ok := found[id]
	if !ok || d.Result != 1 || d.ConsumerApp != appID || d.Size <= 0 || d.Size > maxItemSize {
		return nil
	}
	return &d
}

func (f *fetcher) fetchLocked(ctx context.Context, it *item) error {
	stamp, size := it.stamp(), int64(it.detail.Size)
	if v, err := f.Store.Version(it.ID, stamp); err == nil {
		f.Store.sweep(it.ID, "")
		f.progress.keep(size)
		return f.stored(it, v, false)
	}
	f.Store.sweep(it.ID, stamp)
	p, err := openPart(f.Store.inItem(it.ID, stamp+partSuffix), size, f.piece)
	if err != nil {
		return diskFailure(err)
	}
	defer p.close()
	if have := p.have(); have > 0 {
		f.progress.keep(have)
		f.say("%s: going on after %s of %s.", it.name(), steam.Bytes(have), steam.Bytes(size))
	}
	d := &download{
		client: f.files, url: it.url, part: p, size: size, slots: f.slots, pause: f.pause,
		came: func(n int64) { f.progress.add(n, 0) },
	}
	if err := d.run(ctx); err != nil {
		return err
	}
	if err := f.accept(ctx, it, p.file, p.path, size); err != nil {
		return err
	}
	p.remove()
	return nil
}

// accept looks at a complete file and makes it a version of its item. One that the
// gate refuses is kept too, with what it says: an administrator may let it in.
func (f *fetcher) accept(ctx context.Context, it *item, file *os.File, path string, size int64) error {
	findings, campaigns, err := f.Examine(ctx, it.ID+".vpk", file, size)
	if err != nil {
		return fmt.Errorf("look at workshop item %s: %w", it.ID, err)
	}
	sum, err := hash(ctx, io.NewSectionReader(file, 0, size))
	if err != nil {
		return diskFailure(err)
	}
	for i := range findings {
		findings[i].Item = it.ID
		if findings[i].Verdict == ctl.VerdictRefused && findings[i].SHA256 == "" {
			findings[i].SHA256 = sum
		}
	}
	v := Stored{
		ID: it.ID, Stamp: it.stamp(), Title: it.Title, Size: size, SHA256: sum, Updated: it.Updated, Fetched: time.Now().UTC(),
		Findings: findings[:min(len(findings), ctl.MaxFindings)], Campaigns: campaigns[:min(len(campaigns), ctl.MaxCampaigns)],
	}
	if err := f.Store.publish(v, path); err != nil {
		return diskFailure(err)
	}
	return f.stored(it, v, true)
}

// stored tells that an item is in the store.
func (f *fetcher) stored(it *item, v Stored, changed bool) error {
	it.have(v)
	it.State, it.Changed = ctl.ItemStored, changed
	if v.Refused() {
		it.Message = refusedMessage(v)
	}
	if err := f.note(it); err != nil {
		return diskFailure(err)
	}
	switch {
	case v.Refused():
		f.say("%s: %s", it.name(), it.Message)
	case changed:
		f.say("%s: fetched (%s).", it.name(), steam.Bytes(v.Size))
	}
	f.emitItem(it)
	return nil
}

// hash reads everything once.
func hash(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	buf := buffers.Get().(*[readSize]byte)
	defer buffers.Put(buf)
	for {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		n, err := r.Read(buf[:])
		h.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// name is an item for messages.
func (it *item) name() string {
	if it.Title == "" {
		return it.ID
	}
	return strings.TrimSuffix(it.Title, ".") + " (" + it.ID + ")"
}
