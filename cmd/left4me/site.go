package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"left4me/jobs"
	"left4me/webui"
)

type siteOptions struct {
	Listen           string   `default:"127.0.0.1:8080" env:"LEFT4ME_LISTEN" placeholder:"ADDRESS" help:"Where the web app listens."`
	SecureCookies    bool     `env:"LEFT4ME_SECURE_COOKIES" help:"Set when the site is reached by https only."`
	TrustedProxies   []string `env:"LEFT4ME_TRUSTED_PROXIES" placeholder:"NETWORK" help:"Proxies whose X-Forwarded-For is believed."`
	PublicHost       string   `env:"LEFT4ME_PUBLIC_HOST" placeholder:"NAME" help:"The name or address that players connect to."`
	MetricsTokenFile string   `env:"LEFT4ME_METRICS_TOKEN_FILE" placeholder:"FILE" help:"File with the bearer token that opens /metrics, unless LEFT4ME_METRICS_TOKEN holds it. Without one only administrators see that page."`

	QueuesWriteable bool `env:"LEFT4ME_QUEUES_WRITEABLE" help:"Let admins change the queues in the monitor, not only look."`
}

// listen binds the address. It is done first: a taken port must be said before
// anything is begun.
func (o siteOptions) listen(ctx context.Context) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with --listen", o.Listen, err)
	}
	return l, nil
}

// metricsToken reads the token from the environment or its file, "" for none.
func (o siteOptions) metricsToken() (string, error) {
	token := os.Getenv("LEFT4ME_METRICS_TOKEN")
	if token == "" && o.MetricsTokenFile != "" {
		raw, err := os.ReadFile(o.MetricsTokenFile)
		if err != nil {
			return "", fmt.Errorf("read the token of the metrics: %w", err)
		}
		if token = strings.TrimSpace(string(raw)); token == "" {
			return "", fmt.Errorf("the file %s, which is to hold the token of the metrics, is empty", o.MetricsTokenFile)
		}
	}
	return token, nil
}

// serve runs the web app on l until ctx ends.
func (o siteOptions) serve(ctx context.Context, l net.Listener, s *stores, files webui.Content, log *slog.Logger) error {
	token, err := o.metricsToken()
	if err != nil {
		return err
	}
	hub := jobs.NewHub(s.redis, log)
	site, err := webui.New(webui.Config{
		DB: s.db, Jobs: jobs.NewClient(s.db, s.redis, log), Hub: hub, Key: s.key, Log: log, Content: files,
		Ready:         func(ctx context.Context) error { return s.redis.Ping(ctx).Err() },
		Limiter:       redisLimiter{redis_rate.NewLimiter(s.redis), s.redis},
		SecureCookies: o.SecureCookies, TrustedProxies: o.TrustedProxies, PublicHost: o.PublicHost,
		MetricsToken:    token,
		Monitor:         monitor(s.redis, !o.QueuesWriteable),
		MonitorReadOnly: !o.QueuesWriteable, Version: version,
	})
	if err != nil {
		return err
	}
	hubDone := make(chan struct{})
	go func() { defer close(hubDone); hub.Run(ctx) }()
	// No WriteTimeout: event streams are open for hours and bound each write.
	server := &http.Server{
		Handler: site.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		site.Close() // ends the event streams, or Shutdown would wait for them
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			log.Warn("some requests were cut off", "err", err)
		}
	}()
	// Starting takes a multiple of what serving takes: templates are parsed, static
	// files compressed. The host gets that back.
	debug.FreeOSMemory()
	log.Info("serving", "address", l.Addr().String())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	<-stopped
	<-hubDone
	return nil
}

// monitor is asynq's own web page about the queues.
func monitor(client *redis.Client, readOnly bool) http.Handler {
	return asynqmon.New(asynqmon.Options{RootPath: webui.MonitorPath, RedisConnOpt: sharedClient{client}, ReadOnly: readOnly})
}

// sharedClient lends asynqmon our connection pool. Its Close, which would close
// the pool, is never called: the monitor lives as long as the process.
type sharedClient struct{ client *redis.Client }

// MakeRedisClient is what asynq asks of a connection option.
func (c sharedClient) MakeRedisClient() any { return c.client }

// redisLimiter counts sign-in tries in Redis, so that two web processes count
// together.
type redisLimiter struct {
	limiter *redis_rate.Limiter
	client  *redis.Client
}

// Take implements webui.Limiter.
func (l redisLimiter) Take(ctx context.Context, key string, burst int, interval time.Duration) (time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	result, err := l.limiter.Allow(ctx, "signin:"+key, redis_rate.Limit{Rate: 1, Period: interval, Burst: burst})
	if err != nil {
		return 0, fmt.Errorf("count a sign-in: %w", err)
	}
	if result.Allowed > 0 {
		return 0, nil
	}
	return result.RetryAfter, nil
}

// Forget implements webui.Limiter.
func (l redisLimiter) Forget(ctx context.Context, key string) error {
	ctx, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	return l.limiter.Reset(ctx, "signin:"+key)
}
