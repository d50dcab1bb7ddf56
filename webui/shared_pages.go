package webui

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	freshFor   = 500 * time.Millisecond // then one request makes the page anew
	sharedFor  = time.Second            // how old a shared page may be, while it is made anew
	maxShared  = 32                     // pages that are kept at once; a further one is made for its request alone
	shareLimit = 10 * time.Second       // for making one
)

// pageKey is all that decides what a shared page shows, besides the rows. It names
// the session: nobody is ever given what was made for somebody else.
type pageKey struct {
	session, user string
	admin         bool
	host          string
}

// sharedPages answers requests for the same page with one making of it: those that
// come while it is made wait for it, and those shortly after get it as well. Whoever
// changes something sees the change on their next page: while a request of theirs
// that may write is under way nothing is shared, and what was made before it ended
// is forgotten.
type sharedPages struct {
	mu     sync.Mutex
	made   map[pageKey]*sharedPage
	writes map[string]int // by user, how many requests that may write are under way
}

// sharedPage is one making of a page.
type sharedPage struct {
	began   time.Time // when its rows began to be read
	renewed bool      // somebody makes the one that follows it

	ready  chan struct{} // closed when there is what follows
	body   []byte
	packed func() []byte // body, compressed when first asked for
	err    error
}

func newSharedPages() *sharedPages {
	return &sharedPages{made: map[pageKey]*sharedPage{}, writes: map[string]int{}}
}

// write says that a request of the user's may change something until done is called.
func (p *sharedPages) write(user string) (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes[user]++
	p.forget(user)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.writes[user]--; p.writes[user] == 0 {
			delete(p.writes, user)
		}
		p.forget(user)
	}
}

// forget drops the user's pages, also those that are being made: whoever waits for
// one asked before the change. mu is held.
func (p *sharedPages) forget(user string) {
	for key := range p.made {
		if key.user == user {
			delete(p.made, key)
		}
	}
}

// take returns the page of the key and whether the caller has to make it.
func (p *sharedPages) take(key pageKey) (page *sharedPage, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.made[key]
	if last != nil && (last.renewed || time.Since(last.began) < freshFor) {
		return last, false
	}
	page = &sharedPage{began: time.Now(), ready: make(chan struct{})}
	switch {
	case last != nil:
		last.renewed = true // the others have it until the new one is there
	case p.writes[key.user] == 0 && len(p.made) < maxShared:
		p.put(key, page)
	}
	return page, true
}

// put keeps a page until it is too old. mu is held.
func (p *sharedPages) put(key pageKey, page *sharedPage) {
	p.made[key] = page
	time.AfterFunc(time.Until(page.began.Add(sharedFor)), func() { p.drop(key, page) })
}

func (p *sharedPages) drop(key pageKey, page *sharedPage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made[key] == page {
		delete(p.made, key)
	}
}

// follow puts a page in the place of the one that it was made to follow, if that is
// still there: it is not when something was written meanwhile.
func (p *sharedPages) follow(key pageKey, page *sharedPage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := p.made[key]; last != nil && last != page && last.renewed && last.began.Before(page.began) {
		p.put(key, page)
	}
}

// showShared answers with the page of the key. read makes it, on behalf of everybody
// who waits for it: that the first of them leaves does not end it. keep is false for
// a page that the next request has to make anew.
func (s *Server) showShared(c *gin.Context, key pageKey, read func() (v view, keep bool, err error)) error {
	page, mine := s.pages.take(key)
	if mine {
		s.makeShared(c, key, page, read)
	}
	select {
	case <-page.ready:
	case <-c.Request.Context().Done():
		return c.Request.Context().Err()
	}
	if page.err != nil {
		return page.err
	}
	s.send(c.Writer, c.Request, http.StatusOK, page.body, page.packed)
	return nil
}

func (s *Server) makeShared(c *gin.Context, key pageKey, page *sharedPage, read func() (view, bool, error)) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(c.Request.Context()), shareLimit)
	defer stop()
	before := c.Request
	c.Request = c.Request.WithContext(ctx)
	page.err = errUnmade // what it stays if read panics
	keep := false
	defer func() {
		c.Request = before
		if keep {
			s.pages.follow(key, page)
		} else {
			s.pages.drop(key, page)
		}
		close(page.ready)
	}()
	v, keeps, err := read()
	if err != nil {
		page.err = err
		return
	}
	page.body, page.err = s.templates.render(v)
	page.packed = sync.OnceValue(func() []byte { return gzipped(page.body) })
	keep = keeps && page.err == nil
}

// errUnmade is what those who waited get when the making of their page broke down.
var errUnmade = &failure{
	status: http.StatusInternalServerError, title: "Something broke",
	text: "That is our fault, not yours, and nothing was changed. Load the page again.",
}
