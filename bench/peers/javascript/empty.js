'use strict'

class Plugin {
  constructor (config) {
    this.config = config
  }

  async access (kong) {

  }
}

module.exports = { Plugin, Schema: [], Version: '1.0.0', Priority: 100 }
