package webui

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
)

// heavyAtOnce bounds how much one user has under way at the same time of what changes
// nothing and costs much: a search of a log, a history, a folder that a game wrote. Each
// may keep a core busy for a second or hold some megabytes. As many downloads of logs and
// of a game's files may be under way beside them.
const heavyAtOnce = 4

var tooHeavy = &failure{
	status: http.StatusTooManyRequests, title: "Too much at once", retryAfter: 3,
	text: fmt.Sprintf("You have %d searches, histories or folders under way; more are not possible. Wait for one of them.", heavyAtOnce),
}

var tooManyDownloads = &failure{
	status: http.StatusTooManyRequests, title: "Too much at once", retryAfter: 10,
	text: fmt.Sprintf("You have %d downloads under way; more are not possible. Wait for one of them.", heavyAtOnce),
}

// enterHeavy counts the request until leave is called, or refuses it.
func (s *Server) enterHeavy(c *gin.Context) (leave func(), err error) {
	leave, ok := s.heavy.enter(user(c).ID)
	if !ok {
		return nil, tooHeavy
	}
	return leave, nil
}

// enterDownload does the same for a download.
func (s *Server) enterDownload(c *gin.Context) (leave func(), err error) {
	leave, ok := s.heavy.enter("download " + user(c).ID)
	if !ok {
		return nil, tooManyDownloads
	}
	return leave, nil
}
