package webui

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

const usersPerPage = 100

// usersPage is everybody who may sign in, and the form for another one.
type usersPage struct {
	Layout layout
	People []models.Person
	After  string // the next page begins behind this name; "" when this is the last
	First  bool
	Form   newUserForm
}

func (usersPage) template() string { return "users.html" }

// newUserForm is the form that adds a user.
type newUserForm struct {
	Name    string
	Admin   bool
	Problem map[string]string
}

// userPage is one user and what can be done about them.
type userPage struct {
	Layout  layout
	Person  models.Person
	Problem map[string]string
	// Password is shown once, right after it was made here.
	Password string
	Fresh    bool // the user was made with it
	Oneself  bool
}

func (userPage) template() string { return "user.html" }

// Path is the address of the user's page.
func (p userPage) Path() string { return userPath(p.Person.ID) }

// State says in a word whether they may sign in.
func (p userPage) State() stateView { return userState(p.Person) }

func userPath(id string) string { return "/admin/users/" + id }

func userState(p models.Person) stateView {
	if p.Active {
		return stateView{"Active", "ok"}
	}
	return stateView{"Deactivated", "off"}
}

// Rows are the lines of the list.
func (p usersPage) Rows() []userPage {
	rows := make([]userPage, len(p.People))
	for i, one := range p.People {
		rows[i] = userPage{Person: one}
	}
	return rows
}

func (s *Server) listUsers(c *gin.Context) error {
	return s.renderUsers(c, http.StatusOK, newUserForm{})
}

func (s *Server) renderUsers(c *gin.Context, status int, form newUserForm) error {
	after := clip(c.Query("after"), 64)
	list, err := models.People(c.Request.Context(), s.DB, after, usersPerPage+1)
	if err != nil {
		return err
	}
	p := usersPage{People: list, First: after == "", Form: form}
	if len(list) > usersPerPage {
		p.People = list[:usersPerPage]
		p.After = p.People[usersPerPage-1].Name
	}
	if p.Layout, err = s.layout(c, "Users", "admin"); err != nil {
		return err
	}
	return s.show(c, status, p)
}

// createUser adds a user with the password that was typed, or with one that is made
// here and shown once.
func (s *Server) createUser(c *gin.Context) error {
	form := newUserForm{Name: strings.TrimSpace(c.PostForm("name")), Admin: c.PostForm("admin") == "yes"}
	hash, shown, err := s.newPassword(c)
	var u *models.User
	if err == nil {
		u, err = s.Jobs.CreateUser(c.Request.Context(), actor(c), form.Name, hash, form.Admin)
	}
	if errors.Is(err, models.ErrTaken) {
		err = models.Invalid("name", "There is a user of this name already. Choose another name.")
	}
	if bad, ok := models.AsInvalid(err); ok {
		form.Name, form.Problem = clip(form.Name, 64), map[string]string{bad.Field: bad.Message}
		return s.renderUsers(c, http.StatusUnprocessableEntity, form)
	} else if err != nil {
		return err
	}
	if shown == "" {
		s.flash(c, "created")
		return goTo(c, userPath(u.ID))
	}
	return s.renderUser(c, http.StatusOK, u.ID, func(p *userPage) { p.Password, p.Fresh = shown, true })
}

// newPassword hashes the form's password. When the field is empty it makes one, which
// it returns too.
func (s *Server) newPassword(c *gin.Context) (hash, shown string, err error) {
	password := c.PostForm("password")
	if password == "" {
		shown = randomPassword()
		password = shown
	}
	if err := CheckPassword(password); err != nil {
		return "", "", err
	}
	hash, err = s.passwords.hash(c.Request.Context(), password)
	return hash, shown, err
}

// randomPassword has 80 bits, in groups that can be read out.
func randomPassword() string {
	t := strings.ToLower(rand.Text())
	return t[:4] + "-" + t[4:8] + "-" + t[8:12] + "-" + t[12:16]
}

func (s *Server) showUser(c *gin.Context) error {
	return s.renderUser(c, http.StatusOK, c.Param("user"), func(*userPage) {})
}

// renderUser shows the page; change puts in what a form brought about.
func (s *Server) renderUser(c *gin.Context, status int, id string, change func(*userPage)) error {
	person, err := models.PersonByID(c.Request.Context(), s.DB, id)
	if err != nil {
		return err
	}
	p := userPage{Person: *person, Oneself: person.ID == user(c).ID}
	change(&p)
	if p.Layout, err = s.layout(c, person.Name, "admin"); err != nil {
		return err
	}
	return s.show(c, status, p)
}

// changeUser does one thing to the user in the address and ends their open pages. A
// refusal is shown on the user's page, with its reason.
func (s *Server) changeUser(c *gin.Context, change func(context.Context, models.Actor, string) error) error {
	id := c.Param("user")
	err := change(c.Request.Context(), actor(c), id)
	if bad, ok := models.AsInvalid(err); ok {
		return s.renderUser(c, http.StatusUnprocessableEntity, id, func(p *userPage) { p.Problem = map[string]string{bad.Field: bad.Message} })
	} else if err != nil {
		return err
	}
	s.streams.end(func(key streamKey) bool { return key.user == id })
	return nil
}

// answered says that changeUser has shown why it did nothing.
func answered(c *gin.Context) bool { return c.Writer.Written() }

func (s *Server) deactivateUser(c *gin.Context) error {
	p, err := models.PersonByID(c.Request.Context(), s.DB, c.Param("user"))
	if err != nil {
		return err
	}
	ok, err := s.sure(c, "admin", confirmPage{
		Heading: fmt.Sprintf("Deactivate %s?", p.Name), Button: "Deactivate " + p.Name, Back: userPath(p.ID),
		Text: "They are signed out everywhere at once and cannot sign in again. Their jobs that wait are cancelled; what runs goes on. Nothing of theirs is deleted.",
	})
	if !ok || err != nil {
		return err
	}
	change := s.Jobs.DeactivateUser
	if c.PostForm("servers") == "stop" {
		change = s.Jobs.DeactivateUserAndStop
	}
	if err := s.changeUser(c, change); err != nil || answered(c) {
		return err
	}
	s.flash(c, "deactivated")
	return goTo(c, userPath(p.ID))
}

func (s *Server) activateUser(c *gin.Context) error {
	if err := s.changeUser(c, s.Jobs.ActivateUser); err != nil || answered(c) {
		return err
	}
	s.flash(c, "activated")
	return goTo(c, userPath(c.Param("user")))
}

// setAdmin gives or takes an administrator's rights.
func (s *Server) setAdmin(c *gin.Context) error {
	change := s.Jobs.MakeAdmin
	switch c.PostForm("admin") {
	case "on":
	case "off":
		change = s.Jobs.UnmakeAdmin
	default:
		return models.Invalid("admin", "Say whether the user is to be an administrator.")
	}
	if err := s.changeUser(c, change); err != nil || answered(c) {
		return err
	}
	s.flash(c, "saved")
	return goTo(c, userPath(c.Param("user")))
}

// resetPassword gives somebody else another password, typed or made here and shown
// once. One's own is changed on the account page, which asks for the present one.
func (s *Server) resetPassword(c *gin.Context) error {
	id := c.Param("user")
	if id == user(c).ID {
		return goTo(c, "/account")
	}
	shown := ""
	err := s.changeUser(c, func(ctx context.Context, by models.Actor, id string) error {
		hash, made, err := s.newPassword(c)
		if err != nil {
			return err
		}
		shown = made
		return s.Jobs.ResetPassword(ctx, by, id, hash)
	})
	if err != nil || answered(c) {
		return err
	}
	if shown == "" {
		s.flash(c, "reset")
		return goTo(c, userPath(id))
	}
	return s.renderUser(c, http.StatusOK, id, func(p *userPage) { p.Password = shown })
}

func (s *Server) deleteUser(c *gin.Context) error {
	p, err := models.PersonByID(c.Request.Context(), s.DB, c.Param("user"))
	if err != nil {
		return err
	}
	ok, err := s.sure(c, "admin", confirmPage{
		Heading: fmt.Sprintf("Delete the user %s?", p.Name), Button: "Delete " + p.Name, Back: userPath(p.ID),
		Text: "They are signed out everywhere at once. Their jobs and what the audit log says of them stay. This cannot be undone.",
	})
	if !ok || err != nil {
		return err
	}
	if err := s.changeUser(c, s.Jobs.DeleteUser); err != nil || answered(c) {
		return err
	}
	s.flash(c, "deleted")
	return goTo(c, "/admin/users")
}
