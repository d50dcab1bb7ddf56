package webui

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"left4me/models"
)

// minMetricsToken is how long the token of the metrics must be.
const minMetricsToken = 16

const (
	endedLag   = 5 * time.Second // a job is counted this long after its end: by then every such row is there
	endedBatch = 5000            // jobs that are counted with one look
	rowsWait   = 3 * time.Second // for the database, in one look
)

// meters is what the process counts about itself, and what it reads from rows when
// somebody looks. Jobs are counted from the start of this process on: every web
// process counts all of them, so take the largest of several, not their sum.
type meters struct {
	registry *prometheus.Registry
	handler  http.Handler
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	missed   prometheus.Counter

	db  modelsDB
	log *slog.Logger

	mu    sync.Mutex // one look at the rows at a time
	until time.Time  // jobs that ended up to here are counted
	ended *prometheus.CounterVec
	ran   *prometheus.HistogramVec
	waits *prometheus.HistogramVec
}

var (
	unfinishedDesc = prometheus.NewDesc("left4me_jobs_unfinished", "Jobs that wait or run.", []string{"kind", "state"}, nil)
	serversDesc    = prometheus.NewDesc("left4me_servers", "Servers by their observed state.", []string{"state"}, nil)
	playersDesc    = prometheus.NewDesc("left4me_players", "People on all running servers.", nil, nil)
	botsDesc       = prometheus.NewDesc("left4me_bots", "Bots on all running servers.", nil, nil)
	observerDesc   = prometheus.NewDesc("left4me_observer_age_seconds", "Since the host's last sign of life.", []string{"host"}, nil)
	workersDesc    = prometheus.NewDesc("left4me_workers", "Queues that a worker serves now.", nil, nil)
	rowsDesc       = prometheus.NewDesc("left4me_rows_read", "1 when the database answered this look, 0 when what comes from rows is missing.", nil, nil)
)

func newMeters(cfg Config, open *streams) *meters {
	m := &meters{
		registry: prometheus.NewRegistry(), db: modelsDB{cfg}, log: cfg.Log, until: models.Now(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "left4me_http_requests_total", Help: "Requests by route and status."}, []string{"route", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "left4me_http_request_seconds", Help: "Time of requests by route. Live streams, which last for hours, are left out.",
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"route"}),
		missed: prometheus.NewCounter(prometheus.CounterOpts{Name: "left4me_stream_lines_missed_total", Help: "Log lines that viewers who lay too far behind were told they missed."}),
		ended:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "left4me_jobs_ended_total", Help: "Jobs that ended since this process began."}, []string{"kind", "state"}),
		ran: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "left4me_job_seconds", Help: "Time from a job's first claim to its end.",
			Buckets: []float64{.1, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200},
		}, []string{"kind"}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "left4me_job_wait_seconds", Help: "Time from asking for a job to its first claim, by pool.",
			Buckets: []float64{.01, .03, .1, .3, 1, 3, 10, 60, 600, 3600},
		}, []string{"pool"}),
	}
	m.registry.MustRegister(
		m.requests, m.took, m.missed, rowMeters{m},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "left4me_streams_open", Help: "Live pages."}, func() float64 { return float64(open.count()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "left4me_stream_messages_dropped_total", Help: "Messages that found a live page's buffer full; it then read rows instead."},
			func() float64 { return float64(cfg.Hub.Dropped()) }),
		collectors.NewDBStatsCollector(cfg.DB.DB, "left4me"),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2, ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn)})
	return m
}

// answered counts one request.
func (m *meters) answered(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	if route != "GET /events" {
		m.took.WithLabelValues(route).Observe(took.Seconds())
	}
}

// modelsDB is what the metrics read of the configuration.
type modelsDB struct{ Config }

// rowMeters is the part of the metrics that comes from rows.
type rowMeters struct{ *meters }

// Describe implements prometheus.Collector.
func (m rowMeters) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{unfinishedDesc, serversDesc, playersDesc, botsDesc, observerDesc, workersDesc, rowsDesc} {
		out <- d
	}
	for _, c := range m.ofEnded() {
		c.Describe(out)
	}
}

// ofEnded is what is counted of jobs that ended.
func (m rowMeters) ofEnded() []prometheus.Collector {
	return []prometheus.Collector{m.ended, m.ran, m.waits}
}

// Collect implements prometheus.Collector. What cannot be read is left out.
func (m rowMeters) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx, stop := context.WithTimeout(context.Background(), rowsWait)
	defer stop()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	read := 1.0
	if err := errors.Join(m.countEnded(ctx), m.readRows(ctx, gauge)); err != nil {
		m.log.WarnContext(ctx, "the metrics lack what comes from rows", "err", err)
		read = 0
	}
	for _, c := range m.ofEnded() { // now that the rows were looked at
		c.Collect(out)
	}
	gauge(rowsDesc, read)
	if n, err := m.db.Jobs.Workers(); err == nil {
		gauge(workersDesc, float64(n))
	}
}

func (m rowMeters) readRows(ctx context.Context, gauge func(*prometheus.Desc, float64, ...string)) error {
	waiting, err := models.CountUnfinished(ctx, m.db.DB)
	if err != nil {
		return err
	}
	sums := map[[2]string]int{}
	for _, one := range waiting {
		sums[[2]string{one.Kind, string(one.State)}] += one.N
	}
	for labels, n := range sums {
		gauge(unfinishedDesc, float64(n), labels[:]...)
	}
	servers, err := models.CountServers(ctx, m.db.DB)
	if err != nil {
		return err
	}
	for state, n := range servers.ByState {
		gauge(serversDesc, float64(n), string(state))
	}
	gauge(playersDesc, float64(servers.Players))
	gauge(botsDesc, float64(servers.Bots))
	host, err := models.HostByName(ctx, m.db.DB, models.LocalHost)
	if err == nil && !host.SeenAt.IsZero() {
		gauge(observerDesc, models.Now().Sub(host.SeenAt).Seconds(), host.Name)
	}
	return err
}

// countEnded counts the jobs that have ended since the last look.
func (m rowMeters) countEnded(ctx context.Context) error {
	until := models.Now().Add(-endedLag)
	for m.until.Before(until) {
		list, err := models.EndedJobs(ctx, m.db.DB, m.until, until, endedBatch)
		if err != nil {
			return err
		}
		for _, j := range list {
			m.ended.WithLabelValues(j.Kind, string(j.State)).Inc()
			if j.StartedAt == nil {
				continue // cancelled while it waited
			}
			m.ran.WithLabelValues(j.Kind).Observe(j.FinishedAt.Sub(*j.StartedAt).Seconds())
			m.waits.WithLabelValues(string(j.Pool)).Observe(j.StartedAt.Sub(j.CreatedAt).Seconds())
		}
		if len(list) < endedBatch {
			m.until = until
			return nil
		}
		m.until = list[len(list)-1].FinishedAt
	}
	return nil
}

// isScraper says whether the request carries the token of the metrics.
func (s *Server) isScraper(r *http.Request) bool {
	sent, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || s.MetricsToken == "" {
		return false
	}
	a, b := sha256.Sum256([]byte(sent)), sha256.Sum256([]byte(s.MetricsToken))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// showMetrics is the page that Prometheus reads.
func (s *Server) showMetrics(c *gin.Context) error {
	s.meters.handler.ServeHTTP(c.Writer, c.Request)
	return nil
}
