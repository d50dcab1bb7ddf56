package workshop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"left4me/hostops/fetch"
)

const (
	batchSize = 100      // ids a request: what others send without trouble
	maxAnswer = 16 << 20 // bytes; a hundred descriptions are at most 1 MB
	apiTries  = 5
	apiBudget = 30 // requests more than batches, for finding the id that spoils one
	maxPause  = time.Minute
)

// DefaultAPI is where Steam's Web API is. The two calls that are made need no key.
const DefaultAPI = "https://api.steampowered.com"

// api asks Steam's Web API.
type api struct {
	base   string
	client *fetch.Client
	pause  time.Duration // before the second try; doubled for each further one
	say    func(format string, args ...any)
}

// newAPI makes a client of the Web API at base. An operator's own choice may be
// plain http, and anywhere; Steam's may not.
func newAPI(base string, pause time.Duration, say func(string, ...any)) (*api, error) {
	base = strings.TrimSuffix(base, "/")
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, final("%q is not the address of a Web API: it is a URL such as %s", plainText(base, maxTitle), DefaultAPI)
	}
	dialer := &fetch.Dialer{}
	if base != DefaultAPI {
		dialer.Trusted = []string{fetch.Address(u)}
	}
	client := &fetch.Client{Hosts: []string{strings.ToLower(u.Hostname())}, Dialer: dialer, Agent: agent}
	return &api{base: base, client: client, pause: pause, say: say}, nil
}

// details asks for items. Those that could not be asked for are in failed.
func (a *api) details(ctx context.Context, ids []string) (found map[string]detail, failed map[string]error) {
	found, failed = batches(ctx, a, ids, "itemcount", "GetPublishedFileDetails", parseDetails)
	var again []string
	for id, d := range found {
		if d.Result.passes() {
			again = append(again, id)
		}
	}
	for _, id := range ids { // an answer may leave some out
		if _, ok := found[id]; !ok && failed[id] == nil {
			again = append(again, id)
		}
	}
	if len(again) > 0 && len(again) < len(ids) || len(again) == 1 {
		second, _ := batches(ctx, a, again, "itemcount", "GetPublishedFileDetails", parseDetails) // the first answer stands at worst
		for id, d := range second {
			found[id] = d
		}
	}
	return found, failed
}

// collections asks which of the ids are collections, and of what.
func (a *api) collections(ctx context.Context, ids []string) (found map[string][]child, failed map[string]error) {
	return batches(ctx, a, ids, "collectioncount", "GetCollectionDetails", parseCollections)
}

// batches makes one call for every hundred ids. A request that Steam calls bad is
// cut in two until the id that spoils it stands alone. Once Steam cannot be
// reached at all the rest is not asked for.
func batches[T any](ctx context.Context, a *api, ids []string, count, method string, parse func([]byte) (map[string]T, error)) (found map[string]T, failed map[string]error) {
	found, failed = map[string]T{}, map[string]error{}
	var todo [][]string
	for rest := ids; len(rest) > 0; rest = rest[min(len(rest), batchSize):] {
		todo = append(todo, rest[:min(len(rest), batchSize)])
	}
	budget := apiBudget
	var down error
	for len(todo) > 0 {
		batch := todo[0]
		todo = todo[1:]
		var answer map[string]T
		err := down
		if err == nil {
			answer, err = call(ctx, a, batch, count, method, parse)
		}
		switch {
		case err == nil:
			for _, id := range batch {
				if entry, ok := answer[id]; ok {
					found[id] = entry
				}
			}
		case errors.Is(err, errBadRequest) && len(batch) > 1 && budget > 0:
			budget--
			todo = append(todo, batch[:len(batch)/2], batch[len(batch)/2:])
		default:
			for _, id := range batch {
				failed[id] = err
			}
			if retryable(err) || ctx.Err() != nil {
				down = err
			}
		}
	}
	return found, failed
}

// errBadRequest is status 400: Steam counts differently than we do, or dislikes a
// number.
var errBadRequest = final("Steam's Web API calls the request for this item bad (status 400): check its number.")

// call makes one request, again while its failure may pass, at most five times.
func call[T any](ctx context.Context, a *api, ids []string, count, method string, parse func([]byte) (map[string]T, error)) (map[string]T, error) {
	form := url.Values{count: {strconv.Itoa(len(ids))}}
	for i, id := range ids {
		form.Set(fmt.Sprintf("publishedfileids[%d]", i), id)
	}
	pause := a.pause
	for try := 1; ; try++ {
		body, wait, err := a.post(ctx, method, form.Encode())
		if err == nil {
			var answer map[string]T
			if answer, err = parse(body); err == nil {
				return answer, nil
			}
			err = badAnswer(err)
		}
		switch {
		case ctx.Err() != nil:
			return nil, cancelled(ctx)
		case !retryable(err) || try == apiTries:
			return nil, err
		case wait > maxPause:
			return nil, passing("Steam's Web API wants no requests from here for the next %s: try again then.", wait.Round(time.Second))
		}
		wait = max(wait, pause)
		pause = min(2*pause, maxPause)
		said := strings.Replace(err.Error(), ": try again later.", ".", 1) // that is what happens here
		a.say("%s Try %d of %d follows in %s.", said, try+1, apiTries, wait.Round(time.Millisecond))
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func badAnswer(err error) error {
	if errors.Is(err, errWebPage) {
		return passing("A web page came instead of Steam's answer: something between this machine and Steam, such as a proxy or the sign-in page of a network, answers in its place.")
	}
	return passing("Steam's Web API answered with %s: try again later.", err)
}

// post makes one request; wait is what the server asked for before the next.
func (a *api) post(ctx context.Context, method, form string) (body []byte, wait time.Duration, err error) {
	resp, err := a.client.Do(ctx, fetch.Request{
		Method: http.MethodPost, URL: a.base + "/ISteamRemoteStorage/" + method + "/v1/",
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}},
		Body:   []byte(form), Limit: maxAnswer,
	})
	if errors.Is(err, fetch.ErrRefused) {
		return nil, 0, final("Steam's Web API at %s may not be asked: %v.", a.base, err)
	}
	if err != nil {
		return nil, 0, passing("Steam's Web API cannot be reached (%v): try again later.", err)
	}
	defer resp.Body.Close() // read to its end, or given up
	switch s := resp.Status; {
	case s == http.StatusBadRequest:
		return nil, 0, errBadRequest
	case s == http.StatusTooManyRequests:
		return nil, resp.RetryAfter, passing("Steam's Web API wants fewer requests from here (status 429): try again later.")
	case s >= 500:
		return nil, resp.RetryAfter, passing("Steam's Web API is in trouble (status %d): try again later.", s)
	case s != http.StatusOK:
		return nil, 0, final("Steam's Web API answered with status %d: check its address %s.", s, a.base)
	}
	if body, err = io.ReadAll(resp.Body); err != nil {
		return nil, 0, passing("Steam's answer broke off (%v): try again later.", err)
	}
	return body, 0, nil
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return cancelled(ctx)
	case <-timer.C:
		return nil
	}
}
