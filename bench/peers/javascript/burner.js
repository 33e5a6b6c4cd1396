'use strict'

class Plugin {
  constructor (config) {
    this.config = config
  }

  async access (kong) {
    const end = process.cpuUsage().user + 10000
    let sum = 0
    while (process.cpuUsage().user < end) {
      for (let number = 0; number < 200; number++) sum += number * number
    }
  }
}

module.exports = { Plugin, Schema: [], Version: '1.0.0', Priority: 100 }
