package overlay

// OnStep has the stage tell of each step of Publish.
func (st *Stage) OnStep(f func(string)) { st.step = f }
