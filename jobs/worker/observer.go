package worker

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// The pace of storing what is observed. A change waits only for others that come at
// the same time; that nothing changed is one statement for all servers.
const (
	observeGather = 100 * time.Millisecond
	observeStill  = 5 * time.Second
	observeWhole  = 10 * time.Minute // after this a row is written anew, whatever it has
	observeRetry  = time.Second
)

// observer keeps what was seen of servers until it is stored, and knows what the rows
// have, so that a server that stays as it is costs next to nothing.
type observer struct {
	w *Worker

	mu      sync.Mutex
	pending map[string]ctl.Status // by instance: seen and not stored yet
	still   map[string]ctl.Status // the same, of those whose rows say it already
	known   map[string]*knownServer
	news    chan struct{} // something is pending

	storing sync.Mutex // one store at a time, in the order of what was seen
}

// knownServer is what the row of a server has.
type knownServer struct {
	row     string // see essence
	figures figures
	wroteAt time.Time
	run     sampleRun
	names   time.Time // the list of people that was taken last
	ended   bool      // nobody can be on it: its stays are ended
}

// figures are what changes a little all the time.
type figures struct {
	cpu    int
	memory int64
}

// near says that a page would show the same.
func (f figures) near(o figures) bool {
	cpu, memory := f.cpu-o.cpu, f.memory-o.memory
	return max(cpu, -cpu) < models.SampleCPU && max(memory, -memory) < models.SampleMemory
}

func newObserver(w *Worker) *observer {
	return &observer{
		w: w, pending: map[string]ctl.Status{}, still: map[string]ctl.Status{},
		known: map[string]*knownServer{}, news: make(chan struct{}, 1),
	}
}

// take accepts what was seen. It never waits.
func (o *observer) take(s ctl.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.pending, s.Name)
	delete(o.still, s.Name)
	if k := o.known[s.Name]; k != nil && k.row == essence(s) && k.figures.near(figuresOf(s)) && time.Since(k.wroteAt) < observeWhole {
		o.still[s.Name] = s
		return
	}
	o.pending[s.Name] = s
	select {
	case o.news <- struct{}{}:
	default: // it is awake already
	}
}

// run stores what was taken until ctx ends. A database that is away delays it: what
// comes meanwhile takes the place of what came before.
func (o *observer) run(ctx context.Context) {
	still := time.NewTicker(observeStill)
	defer still.Stop()
	var warned time.Time
	for {
		pause := observeGather
		select {
		case <-ctx.Done():
			return
		case <-o.news:
		case <-still.C:
			pause = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		err := o.store(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if time.Since(warned) > time.Minute {
			o.w.Log.WarnContext(ctx, "could not store what was observed; trying again every second", "err", err)
			warned = time.Now()
		}
		time.AfterFunc(observeRetry, func() {
			select {
			case o.news <- struct{}{}:
			default: // it is awake already
			}
		})
	}
}

// store writes everything that was taken, in one transaction, and tells pages what
// changed.
func (o *observer) store(ctx context.Context) error {
	o.storing.Lock()
	defer o.storing.Unlock()
	o.mu.Lock()
	pending, still := o.pending, o.still
	o.pending, o.still = map[string]ctl.Status{}, map[string]ctl.Status{}
	o.mu.Unlock()
	if len(pending)+len(still) == 0 {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	b := observation{o: o, at: o.w.now(), ids: map[string]string{}}
	err := o.w.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return b.write(ctx, tx, pending, still) })
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		for _, list := range []map[string]ctl.Status{pending, still} {
			for name, s := range list {
				if _, newer := o.pending[name]; !newer {
					o.pending[name] = s
				}
				delete(o.still, name)
			}
		}
		return err
	}
	for name, k := range b.known {
		if k == nil {
			delete(o.known, name)
		} else {
			o.known[name] = k
		}
	}
	topics := make([]string, 0, len(pending))
	for name := range pending {
		if id := b.ids[name]; id != "" {
			topics = append(topics, jobs.TopicServer(id))
		}
	}
	if len(topics) > 0 {
		o.w.publish(jobs.Message{Topics: topics, Change: true})
	}
	return nil
}

// observation is one transaction's worth of what was seen.
type observation struct {
	o       *observer
	at      time.Time
	ids     map[string]string // by instance: rows that are there
	known   map[string]*knownServer
	samples []models.ServerSample
}

func (b *observation) write(ctx context.Context, tx bun.Tx, pending, still map[string]ctl.Status) error {
	b.known, b.samples = map[string]*knownServer{}, nil      // the transaction may be tried again
	for _, name := range slices.Sorted(maps.Keys(pending)) { // in one order, or two workers of a host could wait for each other
		s := pending[name]
		id, err := observeOne(ctx, tx, b.o.w.Host, s)
		if err != nil {
			return err
		}
		b.ids[s.Name] = id
		k := &knownServer{}
		if old := b.o.known[s.Name]; old != nil {
			*k = *old
		}
		k.row, k.figures, k.wroteAt = essence(s), figuresOf(s), time.Now()
		b.known[s.Name] = k
	}
	same := slices.Sorted(maps.Keys(still))
	for _, name := range same {
		k := *b.o.known[name]
		b.known[name] = &k
	}
	ids, err := models.StillObserved(ctx, tx, b.o.w.Host, same)
	if err != nil {
		return err
	}
	maps.Copy(b.ids, ids)
	for _, list := range []map[string]ctl.Status{pending, still} {
		for _, s := range list {
			if err := b.history(ctx, tx, s); err != nil {
				return err
			}
		}
	}
	return models.SaveSamples(ctx, tx, b.samples)
}

// observeOne writes a server's row. An instance that no row knows is the operator's
// own and none of our business: its id is "".
func observeOne(ctx context.Context, tx bun.Tx, host string, s ctl.Status) (string, error) {
	id, _, err := models.Observe(ctx, tx, models.Observation{
		Host: host, Instance: s.Name, State: models.ServerState(s.State), Since: s.Since, Status: rowStatus(s),
	})
	if errors.Is(err, models.ErrNotFound) {
		return "", nil
	}
	return id, err
}

// essence is what a row has of a status, without what changes all the time.
func essence(s ctl.Status) string {
	row := rowStatus(s)
	row.CPU, row.Memory = 0, 0
	if row.Live != nil {
		row.Live.At = time.Time{}
		for i := range row.Live.Names {
			row.Live.Names[i].Connected = 0
		}
	}
	if s.State == ctl.ServerAbsent || s.State == ctl.ServerUnknown {
		s.Since = time.Time{} // nobody knows since when
	}
	text, err := json.Marshal(row)
	if err != nil { // nothing in it can fail
		return ""
	}
	return string(s.State) + " " + s.Since.UTC().String() + " " + string(text)
}

func figuresOf(s ctl.Status) figures { return figures{s.CPU, s.Memory} }
